import { Gauge } from 'prom-client';
import { log } from './log.ts';
import { METRIC_PREFIX, metricsRegistry } from './metrics.ts';

// Whether this process can do its work: each dependency by name, and whether it is draining. Behind /readyz and dependency_up.

const dependencyUp = new Gauge({
  name: `${METRIC_PREFIX}dependency_up`,
  help: 'Whether a dependency answered when it was last used: 1 or 0',
  labelNames: ['dependency'],
  registers: [metricsRegistry],
});

export interface DependencyState {
  readonly name: string;
  readonly isUp: boolean;
  /** When it became so. */
  readonly since: string;
  /** Why it is down, or what is known of it. */
  readonly detail: string;
}

/** How a stage reports on one dependency. Reports that change nothing cost next to nothing. */
export interface Dependency {
  up(detail?: string): void;
  down(reason: string): void;
}

export class Health {
  readonly #states = new Map<string, DependencyState>();
  #isDraining = false;

  /** Not ready until `up` is called the first time. */
  dependency(name: string): Dependency {
    this.#set(name, false, 'not reached yet');
    return {
      up: (detail = '') => this.#report(name, true, detail),
      down: (reason) => this.#report(name, false, reason),
    };
  }

  /** From now on the process is not ready: a load balancer shall send nothing more. */
  startDraining(): void {
    this.#isDraining = true;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  get isReady(): boolean {
    return !this.#isDraining && [...this.#states.values()].every((state) => state.isUp);
  }

  get dependencies(): readonly DependencyState[] {
    return [...this.#states.values()];
  }

  #report(name: string, isUp: boolean, detail: string): void {
    const before = this.#states.get(name);
    if (before?.isUp === isUp && before.detail === detail) return;
    if (before?.isUp !== isUp) {
      if (isUp) log('health').info({ dependency: name }, 'dependency is up');
      else log('health').warn({ dependency: name, reason: detail }, 'dependency is down');
    }
    this.#set(name, isUp, detail, before?.isUp === isUp ? before.since : undefined);
  }

  #set(name: string, isUp: boolean, detail: string, since: string = new Date().toISOString()): void {
    this.#states.set(name, { name, isUp, since, detail });
    dependencyUp.set({ dependency: name }, isUp ? 1 : 0);
  }
}

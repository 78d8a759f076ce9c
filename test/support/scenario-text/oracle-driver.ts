// The oracle behind the driver's four verbs.

import { FoldOracle } from '../oracle/fold-oracle.ts';
import type { OracleSetup, OracleStep, ProfilesStep } from '../oracle/fold-steps.ts';
import type { DriverOutputs, DriverRecord, FoldDriver, FoldDriverKind } from './fold-driver.ts';

class OracleDriver implements FoldDriver {
  readonly #oracle: FoldOracle;

  constructor(setup: OracleSetup) {
    this.#oracle = new FoldOracle(setup);
  }

  record(record: DriverRecord): DriverOutputs {
    return this.#apply({ kind: 'record', ...record });
  }

  tick(P: number): DriverOutputs {
    return this.#apply({ kind: 'tick', P });
  }

  settings(settings: OracleSetup['settings']): DriverOutputs {
    return this.#apply({ kind: 'settings', settings });
  }

  profiles(changes: ProfilesStep['changes']): DriverOutputs {
    return this.#apply({ kind: 'profiles', changes });
  }

  #apply(step: OracleStep): DriverOutputs {
    const { aggregates, alerts, deadLetters, outcomes } = this.#oracle;
    const before = { aggregates: aggregates.length, alerts: alerts.length, deadLetters: deadLetters.length };
    this.#oracle.apply(step);
    return {
      aggregates: aggregates.slice(before.aggregates),
      alerts: alerts.slice(before.alerts),
      deadLetters: deadLetters.slice(before.deadLetters),
      outcome: step.kind === 'record' ? outcomes.get(step.offset)! : null,
    };
  }
}

export const oracleDriver: FoldDriverKind = { name: 'oracle', create: (setup) => new OracleDriver(setup) };

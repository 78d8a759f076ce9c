import type { RoleProcess } from './role-process.ts';

// What a role says of itself over HTTP, in the text format of Prometheus.

/** Only a role that hangs takes so long, on a machine that is busy too. */
const ANSWER_DEADLINE_MS = 60_000;

/** Samples of one process at one moment. */
export class RoleMetrics {
  readonly #samples: readonly { readonly name: string; readonly labels: ReadonlyMap<string, string>; readonly value: number }[];

  constructor(text: string) {
    this.#samples = text
      .split('\n')
      .map((line) => /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/.exec(line))
      .filter((match) => match !== null)
      .map(([, name = '', labels = '', value = '']) => ({
        name,
        labels: new Map([...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label = '', text = '']) => [label, text])),
        value: Number(value),
      }));
  }

  /** The sum of a metric (without its prefix `ingot_`) over all samples with these labels; 0 when there is none. */
  sum(name: string, labels: Readonly<Record<string, string>> = {}): number {
    return this.#of(name)
      .filter((sample) => Object.entries(labels).every(([label, value]) => sample.labels.get(label) === value))
      .reduce((sum, { value }) => sum + value, 0);
  }

  /** A metric without labels, by its full name: those of the process have no prefix. 0 when it is not there. */
  sample(name: string): number {
    return this.#samples.find((sample) => sample.name === name)?.value ?? 0;
  }

  /** The values of a label among the samples of a metric, sorted. */
  labelValues(name: string, label: string): string[] {
    return [...new Set(this.#of(name).flatMap(({ labels }) => labels.get(label) ?? []))].sort();
  }

  #of(name: string) {
    return this.#samples.filter((sample) => sample.name === `ingot_${name}`);
  }
}

/** Asks a role that has logged where it listens. */
export async function readMetrics(role: RoleProcess): Promise<RoleMetrics> {
  const url = /"url":"(http:[^"]+)","msg":"listening"/.exec(role.log())?.[1];
  if (url === undefined) throw new Error(`the role has not said where it listens:\n${role.log()}`);
  const answer = await fetch(`${url}/metrics`, { signal: AbortSignal.timeout(ANSWER_DEADLINE_MS) });
  return new RoleMetrics(await answer.text());
}

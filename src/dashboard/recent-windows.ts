import type { WindowAggregate } from '../core/window-aggregate.ts';

/** A window as it is shown: the merge of its parts. Times in epoch ms. */
export interface ShownWindow {
  readonly startMs: number;
  readonly endMs: number;
  readonly count: number;
  readonly min: number;
  readonly mean: number;
  readonly max: number;
}

type WindowPart = Pick<WindowAggregate, 'windowStart' | 'windowEnd' | 'count' | 'min' | 'max' | 'sum'>;

const START = 0;
const END = 1;
const COUNT = 2;
const MIN = 3;
const MAX = 4;
const SUM = 5;
const FIELDS = 6;

/** The last windows of one metric of one device, oldest first. One flat array: thousands of these are kept at a time. */
export class RecentWindows {
  readonly #fields: Float64Array;
  readonly #capacity: number;
  #length = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
    this.#fields = new Float64Array(capacity * FIELDS);
  }

  get length(): number {
    return this.#length;
  }

  /** Takes one part of a window, each part once. A window that is older than all that are kept is left out when there is no room. */
  add(part: WindowPart): void {
    let position = this.#length;
    while (position > 0 && this.#field(position - 1, START) > part.windowStart) position--;
    if (position > 0 && this.#field(position - 1, START) === part.windowStart) this.#merge(position - 1, part);
    else if (this.#length < this.#capacity) this.#insert(position, part);
    else if (position > 0) this.#replaceOldest(position - 1, part);
  }

  windows(): ShownWindow[] {
    return Array.from({ length: this.#length }, (_, position) => this.#window(position));
  }

  /** Means, oldest first; null stands for one or more windows that are missing between two. */
  means(): (number | null)[] {
    const means: (number | null)[] = [];
    for (let position = 0; position < this.#length; position++) {
      if (position > 0 && this.#field(position, START) > this.#field(position - 1, END)) means.push(null);
      means.push(this.#field(position, SUM) / this.#field(position, COUNT));
    }
    return means;
  }

  #window(position: number): ShownWindow {
    const count = this.#field(position, COUNT);
    return {
      startMs: this.#field(position, START),
      endMs: this.#field(position, END),
      count,
      min: this.#field(position, MIN),
      mean: this.#field(position, SUM) / count,
      max: this.#field(position, MAX),
    };
  }

  #field(position: number, field: number): number {
    return this.#fields[position * FIELDS + field]!;
  }

  #insert(position: number, part: WindowPart): void {
    this.#fields.copyWithin((position + 1) * FIELDS, position * FIELDS, this.#length * FIELDS);
    this.#length++;
    this.#write(position, part);
  }

  #replaceOldest(position: number, part: WindowPart): void {
    this.#fields.copyWithin(0, FIELDS, (position + 1) * FIELDS);
    this.#write(position, part);
  }

  #write(position: number, part: WindowPart): void {
    this.#fields.set([part.windowStart, part.windowEnd, part.count, part.min, part.max, part.sum], position * FIELDS);
  }

  #merge(position: number, part: WindowPart): void {
    const at = position * FIELDS;
    const fields = this.#fields;
    fields[at + COUNT]! += part.count;
    fields[at + SUM]! += part.sum;
    fields[at + MIN] = Math.min(fields[at + MIN]!, part.min);
    fields[at + MAX] = Math.max(fields[at + MAX]!, part.max);
  }
}

// The sequence numbers of an idempotent producer: 31 bits per partition, counting records; behind the last one comes 0 again (as Kafka's
// DefaultRecordBatch.incrementSequence has it). By them the broker knows a batch again that is sent twice.

const SEQUENCES = 2 ** 31;

export interface HasPartition {
  readonly topic: string;
  readonly partition: number;
}

export class SequenceNumbers {
  readonly #first: number;
  readonly #topics = new Map<string, Map<number, number>>();

  /** first: where every partition begins; 0 but for tests of what comes behind the last number. */
  constructor(first = 0) {
    this.#first = first;
  }

  /** That of the next record for this partition. */
  next({ topic, partition }: HasPartition): number {
    return this.#topics.get(topic)?.get(partition) ?? this.#first;
  }

  /** So many records are in the log: their numbers are used up. */
  advance(at: HasPartition, count: number): void {
    let partitions = this.#topics.get(at.topic);
    if (partitions === undefined) {
      partitions = new Map();
      this.#topics.set(at.topic, partitions);
    }
    partitions.set(at.partition, (this.next(at) + count) % SEQUENCES);
  }

  /** The producer has a new epoch, in which every partition begins again. */
  restart(): void {
    this.#topics.clear();
  }
}

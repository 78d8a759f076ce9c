// The memory that the answers to fetches are read into, used again and again. Memory outside of the heap that is new with every answer costs
// its pages, a copy out of the pieces in which it came, and a run of the collector every few answers; and all that was not collected yet
// lies about.

const UNIT_BYTES = 64 * 1024;
/** Bound: so much memory waits for being used again. What is beyond goes to the collector. */
const FREE_BYTES_MAX = 16 * 1024 * 1024;

/** Memory of answers. Whoever never gives it back only leaves it to the collector. */
export class AnswerPool {
  readonly #ours = new WeakSet<ArrayBufferLike>();
  readonly #free: Buffer[] = [];
  #freeBytes = 0;

  /** At least so many bytes, with anything in them: the largest piece that is free, or a new one. */
  take(bytes: number): Buffer {
    let largest = -1;
    this.#free.forEach((piece, at) => {
      if (piece.length >= bytes && piece.length > (this.#free[largest]?.length ?? 0)) largest = at;
    });
    if (largest < 0) return this.#make(Math.ceil(bytes / UNIT_BYTES) * UNIT_BYTES);
    const [piece] = this.#free.splice(largest, 1);
    this.#freeBytes -= piece!.length;
    return piece!;
  }

  /** Takes the whole piece back of which this is a view, once; nobody may look at it any more. Memory of others is left alone. */
  giveBack({ buffer }: Buffer): void {
    if (!this.#ours.has(buffer) || this.#freeBytes + buffer.byteLength > FREE_BYTES_MAX) return;
    this.#free.push(Buffer.from(buffer));
    this.#freeBytes += buffer.byteLength;
  }

  #make(bytes: number): Buffer {
    const piece = Buffer.allocUnsafeSlow(bytes);
    this.#ours.add(piece.buffer);
    return piece;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }
}

const LENGTH_BYTES = 4;
/** For an answer that says it is longer no memory is taken before that much of it is there: it may be no answer of Kafka at all. */
const EXPECTED_BYTES_MAX = 16 * 1024 * 1024;

/**
 * Puts the answers of one connection together: each begins with its length in four bytes. What is read from the socket goes to where it will
 * stay, `room`, and how much that was is told to `filled`.
 */
export class AnswerAssembler {
  readonly #pool: AnswerPool;
  readonly #onAnswer: (frame: Buffer) => void;
  #memory: Buffer;
  #filled = 0;

  /** onAnswer gets each whole answer with its length in front; the memory is that of one answer alone. */
  constructor(pool: AnswerPool, onAnswer: (frame: Buffer) => void) {
    this.#pool = pool;
    this.#onAnswer = onAnswer;
    this.#memory = pool.take(UNIT_BYTES);
  }

  /** Where the next bytes are to be put: never empty. */
  room(): Buffer {
    return this.#memory.subarray(this.#filled);
  }

  /** So many bytes were put at the beginning of `room`. */
  filled(bytes: number): void {
    this.#filled += bytes;
    while (this.#filled >= LENGTH_BYTES) {
      const size = LENGTH_BYTES + this.#memory.readUInt32BE(0);
      if (this.#filled < size) {
        const needed = size <= EXPECTED_BYTES_MAX ? size : Math.min(size, 2 * this.#filled);
        if (this.#memory.length < needed) this.#moveTo(this.#pool.take(needed), 0, this.#memory);
        return;
      }
      const whole = this.#memory;
      const rest = this.#filled - size;
      this.#moveTo(this.#pool.take(Math.max(UNIT_BYTES, rest + 1)), size, null);
      this.#onAnswer(whole.subarray(0, size));
    }
    // Room for the length, at least, is always there: no piece is smaller than a unit.
  }

  /** Goes on in other memory, with what lies behind `from` in this one. */
  #moveTo(memory: Buffer, from: number, toGiveBack: Buffer | null): void {
    this.#memory.copy(memory, 0, from, this.#filled);
    this.#filled -= from;
    this.#memory = memory;
    if (toGiveBack !== null) this.#pool.giveBack(toGiveBack);
  }
}

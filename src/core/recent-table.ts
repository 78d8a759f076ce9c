/**
 * What is known by key of those seen lately, in bounded memory and without a timer: two generations. A key that is used moves into the
 * younger one; when the younger one is old or full, it becomes the older one and what was in that is forgotten. So a key is forgotten
 * when it was not used for one to two spans, or when more than `maxKeys` others were used since.
 */
export class RecentTable<Value> {
  readonly #spanMs: number;
  readonly #maxKeys: number;
  #younger = new Map<string, Value>();
  #older = new Map<string, Value>();
  #begunAtMs: number | null = null;

  /** At most twice `maxKeys` are held. */
  constructor(options: { readonly spanMs: number; readonly maxKeys: number }) {
    this.#spanMs = options.spanMs;
    this.#maxKeys = options.maxKeys;
  }

  /** Keys that are known; some of them may be forgotten by the next call of `use`. */
  get size(): number {
    return this.#younger.size + this.#older.size;
  }

  /** What is known of the key, which counts as used at `nowMs`. */
  use(key: string, nowMs: number): Value | undefined {
    // A clock that was set back begins a new span; what is known stays.
    if (this.#begunAtMs === null || nowMs < this.#begunAtMs) this.#begunAtMs = nowMs;
    else if (nowMs - this.#begunAtMs >= this.#spanMs) this.#turnOver(nowMs);
    const value = this.#younger.get(key);
    if (value !== undefined) return value;
    const earlier = this.#older.get(key);
    if (earlier === undefined) return undefined;
    this.#older.delete(key);
    this.#put(key, earlier, nowMs);
    return earlier;
  }

  /** Adds a key that `use` did not know. */
  add(key: string, value: Value, nowMs: number): void {
    this.#put(key, value, nowMs);
  }

  #put(key: string, value: Value, nowMs: number): void {
    if (this.#younger.size >= this.#maxKeys) this.#turnOver(nowMs);
    this.#younger.set(key, value);
  }

  #turnOver(nowMs: number): void {
    // After two spans without any use the younger generation is as old as the older one.
    const isAllOld = this.#begunAtMs !== null && nowMs - this.#begunAtMs >= 2 * this.#spanMs;
    this.#older = isAllOld ? new Map() : this.#younger;
    this.#younger = new Map();
    this.#begunAtMs = nowMs;
  }
}

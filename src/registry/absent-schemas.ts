// When to believe a registry that says it has no schema with an id. One that is starting says so of every id until it has read its schemas
// back, and a follower says so of an id that its leader has just given. Believed at once, good records would become dead letters.

export interface AbsentSchemasOptions {
  /** For so long the registry must go on saying that it does not know an id; 0 believes the first answer. */
  readonly patienceMs: number;
  /** Milliseconds of a clock that never goes back. */
  readonly now: () => number;
}

interface Absence {
  firstAtMs: number;
  /** Since when the registry has answered without a failure in between. */
  steadySinceMs: number;
  lastAtMs: number;
  answers: number;
}

/** Even with patience over, an id is asked for this often. */
const ANSWERS_MIN = 3;
/** Answers further apart say nothing about the time between them. */
const GAP_MAX_MS = 60_000;
/** A registry that fails again and again cannot hold an id open for longer than this many times the patience. */
const PATIENCE_TIMES_MAX = 10;
/**
 * So long after an answer that was believed, the registry is believed at once about other ids: it cannot restart in less, and records with
 * ever new ids would otherwise hold a partition up for the whole patience each.
 */
const BELIEVED_FOR_MS = 2_000;
const ABSENCES_MAX = 4_096;

/** Counts what the registry says about ids that it does not know. */
export class AbsentSchemas {
  readonly #options: AbsentSchemasOptions;
  readonly #absences = new Map<number, Absence>();
  #believedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: AbsentSchemasOptions) {
    this.#options = options;
  }

  /** The registry has answered that it has no such schema: whether that is believed now. */
  isFinal(schemaId: number): boolean {
    const nowMs = this.#options.now();
    const absence = this.#absenceOf(schemaId, nowMs);
    absence.lastAtMs = nowMs;
    absence.answers++;
    if (!this.#isBelieved(absence, nowMs)) return false;
    this.#believedAtMs = nowMs;
    this.#absences.delete(schemaId);
    return true;
  }

  /** The registry has the schema after all. */
  found(schemaId: number): void {
    this.#absences.delete(schemaId);
  }

  /** The registry did not answer, so it may be restarting: what it says next counts anew. */
  registryFailed(): void {
    this.#believedAtMs = Number.NEGATIVE_INFINITY;
    for (const absence of this.#absences.values()) absence.steadySinceMs = Number.POSITIVE_INFINITY;
  }

  #isBelieved({ firstAtMs, steadySinceMs, answers }: Absence, nowMs: number): boolean {
    const { patienceMs } = this.#options;
    if (patienceMs === 0 || nowMs - this.#believedAtMs <= BELIEVED_FOR_MS) return true;
    if (answers < ANSWERS_MIN) return false;
    return nowMs - steadySinceMs >= patienceMs || nowMs - firstAtMs >= patienceMs * PATIENCE_TIMES_MAX;
  }

  #absenceOf(schemaId: number, nowMs: number): Absence {
    const known = this.#absences.get(schemaId);
    if (known !== undefined && nowMs - known.lastAtMs <= GAP_MAX_MS) {
      if (known.steadySinceMs === Number.POSITIVE_INFINITY) known.steadySinceMs = nowMs;
      return known;
    }
    const absence: Absence = { firstAtMs: nowMs, steadySinceMs: nowMs, lastAtMs: nowMs, answers: 0 };
    this.#absences.delete(schemaId);
    if (this.#absences.size >= ABSENCES_MAX) this.#absences.delete(this.#absences.keys().next().value!);
    this.#absences.set(schemaId, absence);
    return absence;
  }
}

import { type DeadLetter, letterPlace } from './dead-letter.ts';

// Which letters were replayed. A mark is a record of the compacted topic of marks, in the partition of its letter, written in the
// transaction that appends the reading: so there is never one without the other.

export interface ReplayMark {
  /** `duplicate`: the same message was replayed as another letter, so this one never will be. */
  readonly outcome: 'replayed' | 'duplicate';
  /** Of the letter, epoch ms: a mark left over from a topic that was made anew says nothing about the letter that lies there now. */
  readonly letterAppendTimeMs: number;
  readonly replayedAtMs: number;
  /** Of the message, 0 when it has none. */
  readonly identity: number;
  /** Which run wrote it. */
  readonly run: string;
}

export function encodeMark(mark: ReplayMark): Buffer {
  return Buffer.from(JSON.stringify(mark));
}

/** Null when the bytes are no mark: anybody may write to a topic. */
export function decodeMark(value: Buffer): ReplayMark | null {
  try {
    const mark = JSON.parse(value.toString('utf8')) as Partial<ReplayMark> | null;
    const isMark =
      (mark?.outcome === 'replayed' || mark?.outcome === 'duplicate') &&
      [mark.letterAppendTimeMs, mark.replayedAtMs, mark.identity].every(Number.isSafeInteger) &&
      typeof mark.run === 'string';
    return isMark ? (mark as ReplayMark) : null;
  } catch {
    return null;
  }
}

/** So many marks of letters that retention has deleted are taken out of the topic with each transaction. */
const EXPIRED_MAX = 100;

/** The marks of letters that still exist, of one partition or of all; so it is bounded by what the dead letter topics keep. */
export class MarkBook {
  readonly #marks = new Map<string, ReplayMark>();
  readonly #placeByIdentity = new Map<number, string>();
  readonly #expired = new Set<string>();
  readonly #isGone: (place: string) => boolean;

  /** `isGone` tells whether the letter at a place was deleted by retention; its mark is of no use any more. */
  constructor(isGone: (place: string) => boolean = () => false) {
    this.#isGone = isGone;
  }

  /** Takes a record of the topic of marks; records must come in their order. `place` is the key, a null value takes the mark away. */
  take(place: string, value: Buffer | null): void {
    const mark = value === null ? null : decodeMark(value);
    if (mark === null) {
      this.#marks.delete(place);
      this.#expired.delete(place);
    } else if (this.#isGone(place)) {
      if (this.#expired.size < EXPIRED_MAX) this.#expired.add(place);
    } else this.put(place, mark);
  }

  put(place: string, mark: ReplayMark): void {
    this.#marks.set(place, mark);
    if (mark.identity !== 0 && mark.outcome === 'replayed') this.#placeByIdentity.set(mark.identity, place);
  }

  /** The mark of a letter; null when it was never replayed. */
  of(letter: Pick<DeadLetter, 'topic' | 'partition' | 'offset' | 'appendTimeMs'>): ReplayMark | null {
    const mark = this.#marks.get(letterPlace(letter));
    return mark?.letterAppendTimeMs === letter.appendTimeMs ? mark : null;
  }

  /** Where the letter lay that was replayed with the same message in it; null when there is none, or the identity is 0. */
  placeOfMessage(identity: number): string | null {
    return identity === 0 ? null : (this.#placeByIdentity.get(identity) ?? null);
  }

  /** Marks that may be taken out of the topic; each is told once. */
  takeExpired(): string[] {
    const places = [...this.#expired];
    this.#expired.clear();
    return places;
  }
}

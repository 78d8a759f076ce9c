// "A replayed reading" of docs/FOLD.md: what the two headers of a record say, as far as they are believed.

const DAY_MS = 86_400_000;
const WAIT_MAX_MS = 60 * DAY_MS;

interface ClaimingRecord {
  readonly appendTime: number;
  readonly headers?: Readonly<Record<string, string>>;
}

/** f. */
export function firstAppendTime({ appendTime, headers }: ClaimingRecord): number {
  const claimed = claimedNumber(headers?.['first-append-time']);
  return claimed !== null && claimed <= appendTime && claimed >= appendTime - WAIT_MAX_MS ? claimed : appendTime;
}

/** The identity that counts; `own` is that of the reading. */
export function identityThatCounts({ headers }: ClaimingRecord, own: number): number {
  return claimedNumber(headers?.['replay-identity']) ?? own;
}

function claimedNumber(text = ''): number | null {
  const isNumber = text.length >= 1 && text.length <= 16 && text[0] !== '0' && [...text].every((digit) => digit >= '0' && digit <= '9');
  return isNumber && BigInt(text) < 2n ** 53n ? Number(text) : null;
}

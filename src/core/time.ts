// Time in Ingot is a number of milliseconds; the brands keep a point in time and a span from being mixed up.

declare const brand: unique symbol;
type Branded<Name extends string> = number & { readonly [brand]: Name };

/** Milliseconds since 1970-01-01T00:00:00Z: event times, append times. */
export type EpochMs = Branded<'EpochMs'>;
/** A span of milliseconds. */
export type DurationMs = Branded<'DurationMs'>;

export const epochMs = (value: number): EpochMs => value as EpochMs;
export const durationMs = (value: number): DurationMs => value as DurationMs;

/** No event time is before this: what claims to be is a clock in seconds, or one that never was set. */
export const EARLIEST_PLAUSIBLE_EPOCH_MS = epochMs(Date.UTC(2000, 0, 1));
/** No event time is after this: what claims to be is a clock in microseconds, or nonsense. */
export const LATEST_PLAUSIBLE_EPOCH_MS = epochMs(Date.UTC(2200, 0, 1));

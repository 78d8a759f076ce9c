// What a comparison finds.

export type DifferenceKind =
  | 'part_repeated'
  | 'window_size'
  | 'window_missing'
  | 'window_unexpected'
  | 'window_differs'
  | 'alert_repeated'
  | 'alert_order'
  | 'alert_missing'
  | 'alert_unexpected'
  | 'alert_differs';

export interface Difference {
  readonly kind: DifferenceKind;
  readonly device: string;
  /** One sentence with what was expected and what was found. */
  readonly text: string;
}

/** Of windows or of alerts. */
export interface Verdict {
  readonly expected: number;
  readonly equal: number;
  readonly undecided: number;
  readonly differences: readonly Difference[];
}

export function timeText(ms: number | null): string {
  return ms === null ? 'never' : new Date(ms).toISOString();
}

// Tumbling windows are arithmetic: window k of size W is [k * W, (k + 1) * W), aligned to the epoch.

/** Start (inclusive, epoch ms) of the window that holds a time. */
export function windowStartOf(timeMs: number, windowSizeMs: number): number {
  return Math.floor(timeMs / windowSizeMs) * windowSizeMs;
}

/** The end of the last window that a device has left behind for good when its clock stands at maxTimeMs: every window up to there is over, grace included. */
export function lastEndPassed(maxTimeMs: number, windowSizeMs: number, graceMs: number): number {
  return Math.floor((maxTimeMs - graceMs) / windowSizeMs) * windowSizeMs;
}

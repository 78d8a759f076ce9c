const POLL_MS = 5;

/** Waits until the condition is truthy and returns its value; fails with what was waited for when the deadline passes. */
export async function waitUntil<Value>(
  condition: () => Value | Promise<Value>,
  what: string,
  deadlineMs = 60_000,
): Promise<Exclude<Value, undefined | null | false>> {
  const deadlineAt = performance.now() + deadlineMs;
  for (;;) {
    const value = await condition();
    if (value) return value as Exclude<Value, undefined | null | false>;
    if (performance.now() > deadlineAt) throw new Error(`waited ${deadlineMs} ms in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

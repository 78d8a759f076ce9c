// The line to the server: the token, requests, and the stream of events with its reconnection.
//
// The stream is read with fetch and not with EventSource, because only so can the token be sent as a header, and a refusal be told from
// a lost connection.

const TOKEN_KEY = 'ingot-token';
/** The server sends something every second. */
const SILENCE_MAX_MS = 6_000;
const RETRY_MS = [500, 1_000, 2_000, 4_000];

export function giveToken(token) {
  sessionStorage.setItem(TOKEN_KEY, token);
}

export function request(path, options = {}) {
  const token = sessionStorage.getItem(TOKEN_KEY);
  const headers = token === null ? {} : { authorization: `Bearer ${token}` };
  return fetch(path, { ...options, headers, cache: 'no-store' });
}

/**
 * Reads events for ever. `onEvent(name, body)`; `onState` is told `{ kind: 'live' }`, `{ kind: 'lost' }` or
 * `{ kind: 'refused', status, text }`, and resolves when it shall be tried again at once.
 */
export async function followEvents({ onEvent, onState }) {
  for (let failures = 0; ; failures++) {
    let askedAgain;
    try {
      const refusal = await readEvents((name, body) => {
        failures = 0;
        onState({ kind: 'live' });
        onEvent(name, body);
      });
      askedAgain = onState(refusal ?? { kind: 'lost' });
    } catch {
      askedAgain = onState({ kind: 'lost' });
    }
    const waited = new Promise((resolve) => setTimeout(resolve, RETRY_MS[Math.min(failures, RETRY_MS.length - 1)]));
    await (askedAgain === undefined ? waited : askedAgain);
  }
}

/** Resolves with null when the stream has ended, with why when it was refused; rejects when it breaks or falls silent. */
async function readEvents(onEvent) {
  const controller = new AbortController();
  let heardAt = performance.now();
  // A page in the background has its timers delayed, so the time is looked at again when one fires.
  const watch = setInterval(() => {
    if (performance.now() - heardAt > SILENCE_MAX_MS) controller.abort();
  }, 1_000);
  try {
    const response = await request('/events', { signal: controller.signal });
    if (!response.ok) return { kind: 'refused', status: response.status, text: await response.text() };
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let text = ''; ; ) {
      const { done, value } = await reader.read();
      if (done) return null;
      heardAt = performance.now();
      const parts = (text + value).split('\n\n');
      text = parts.pop();
      for (const part of parts) takeEvent(part, onEvent);
    }
  } finally {
    clearInterval(watch);
    controller.abort();
  }
}

function takeEvent(text, onEvent) {
  const fields = new Map(text.split('\n').map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]));
  if (fields.has('data')) onEvent(fields.get('event'), JSON.parse(fields.get('data')));
}

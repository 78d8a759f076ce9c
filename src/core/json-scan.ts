// A look at JSON text before it is parsed. JSON.parse itself accepts a million nested brackets, and whatever walks the result
// afterwards overflows the stack; so depth and number of keys are counted on the bytes first.

export const MAX_JSON_DEPTH = 8;
export const MAX_JSON_KEYS = 64;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

export type JsonScan = 'ascii' | 'not_ascii' | 'too_deep' | 'too_many_keys';

/**
 * Whether the text keeps within MAX_JSON_DEPTH and MAX_JSON_KEYS (over all levels), and whether it is plain ASCII, so that the
 * strict UTF-8 decoder can be skipped. It does not tell whether the text is valid JSON: that is JSON.parse's to say.
 */
export function scanJson(text: Uint8Array): JsonScan {
  let depth = 0;
  let keys = 0;
  let bits = 0;
  for (let i = 0; i < text.length; i++) {
    const byte = text[i]!;
    bits |= byte;
    if (byte === QUOTE) {
      // To the closing quote; an escaped character cannot close.
      for (i++; i < text.length && text[i] !== QUOTE; i++) {
        if (text[i] === BACKSLASH) i++;
        bits |= text[i] ?? 0;
      }
    } else if (byte === COLON) {
      if (++keys > MAX_JSON_KEYS) return 'too_many_keys';
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) {
      if (++depth > MAX_JSON_DEPTH) return 'too_deep';
    } else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      depth--;
    }
  }
  return bits < 0x80 ? 'ascii' : 'not_ascii';
}

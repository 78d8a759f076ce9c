// Device ids, payloads and error texts come from strangers. What could move the cursor, change the title or turn the reading
// direction is shown as an escape instead: C0, DEL and C1 controls, bidirectional controls, line separators, lone surrogates.

const DANGEROUS = /[\p{Cc}\p{Bidi_Control}\p{Surrogate}\u2028\u2029\ufeff]/gu;

/** Safe for a terminal: what is dangerous is written as \u001b. Also valid inside a JSON string. */
export function escapeControls(text: string): string {
  return text.replace(DANGEROUS, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

const SGR = { bold: '1', dim: '2', red: '31', green: '32', yellow: '33', cyan: '36' } as const;

export type TextStyle = keyof typeof SGR;

/** `text` must be escaped already. */
export function styled(text: string, style: TextStyle, useColor: boolean): string {
  return useColor ? `\u001b[${SGR[style]}m${text}\u001b[0m` : text;
}

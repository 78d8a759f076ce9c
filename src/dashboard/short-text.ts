/**
 * The text, cut to so many UTF-16 units. A cut one is copied, because a slice would keep the whole original in memory: what is kept of
 * a hostile text must be as short as it looks.
 */
export function shortText(text: string, lengthMax: number): string {
  return text.length <= lengthMax ? text : `${Buffer.from(text.slice(0, lengthMax - 1), 'utf16le').toString('utf16le')}…`;
}

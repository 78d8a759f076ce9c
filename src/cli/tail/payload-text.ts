import { escapeControls } from '../terminal-text.ts';

const BYTES_PER_LINE = 16;

/** Bytes of a stranger for a terminal: as text when they are UTF-8 (controls escaped, line ends kept), otherwise as a hex dump. */
export function payloadText(bytes: Buffer): string {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    if (!text.includes('\u0000')) return text.split('\n').map(escapeControls).join('\n');
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
  return hexDump(bytes);
}

/** `00000010  7b 22 74 73 ...  {"ts` */
function hexDump(bytes: Buffer): string {
  const lines: string[] = [];
  for (let start = 0; start < bytes.length; start += BYTES_PER_LINE) {
    const slice = bytes.subarray(start, start + BYTES_PER_LINE);
    const hex = [...slice].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const shown = [...slice].map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.')).join('');
    lines.push(`${start.toString(16).padStart(8, '0')}  ${hex.padEnd(BYTES_PER_LINE * 3 - 1)}  ${shown}`);
  }
  return lines.join('\n');
}

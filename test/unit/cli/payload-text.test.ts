import { expect, test } from 'vitest';
import { payloadText } from '../../../src/cli/tail/payload-text.ts';

test('text is shown as text, with line ends and without controls', () => {
  expect(payloadText(Buffer.from('{"a":\n"é\u001b[2J"}'))).toBe('{"a":\n"é\\u001b[2J"}');
});

test('what is not UTF-8, or holds NUL, is shown as hex', () => {
  expect(payloadText(Buffer.from([0xff, 0x41, 0x0a]))).toBe(`00000000  ff 41 0a${' '.repeat(39)}  .A.`);
  expect(payloadText(Buffer.from('a\u0000b'))).toMatch(/^00000000 {2}61 00 62 /);
  expect(payloadText(Buffer.alloc(17, 0xfe)).split('\n')).toHaveLength(2);
  expect(payloadText(Buffer.alloc(0))).toBe('');
});

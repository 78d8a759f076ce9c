import { expect, test } from 'vitest';
import { importsOf, longFunctions, withoutComments } from '../support/source-text.ts';

test('imports are found, and told apart from imports of types', () => {
  const text = [
    "import { a, type B } from './a.ts';",
    "import type { C } from './c.ts';",
    "import { type D, type E } from 'd';",
    "import {\n  f,\n  g,\n} from 'node:f';",
    "export { h } from './h.ts';",
    "// import { no } from './no.ts';",
    "const i = await import('./i.ts');",
  ].join('\n');
  expect(importsOf(text)).toEqual([
    { specifier: './a.ts', isType: false },
    { specifier: './c.ts', isType: true },
    { specifier: 'd', isType: true },
    { specifier: 'node:f', isType: false },
    { specifier: './h.ts', isType: false },
    { specifier: './i.ts', isType: false },
  ]);
});

test('comments go, addresses in strings stay', () => {
  expect(withoutComments("/* a */ b // c\n// d\nconst e = 'http://f';")).toBe(" b \n\nconst e = 'http://f';");
});

test.each([
  'export async function name(a: number): Promise<void> {',
  '  async method<Value>(a: Value): Promise<void> {',
  'const name = (a: number) => {',
  '  get size(): number {',
])('a long one is found: %s', (head) => {
  const indent = /^\s*/.exec(head)![0];
  const text = (lines: number) => [head, ...Array.from({ length: lines - 2 }, () => `${indent}  work();`), `${indent}}`].join('\n');
  expect(longFunctions(text(71), 70)).toHaveLength(1);
  expect(longFunctions(text(70), 70)).toEqual([]);
});

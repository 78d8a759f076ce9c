import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

// The program as it is run: a file that it cannot open is said with its flag, exit code 2.

const main = fileURLToPath(new URL('../../../simulators/main.ts', import.meta.url));
const folder = fileURLToPath(new URL('.', import.meta.url));

async function run(...words: string[]): Promise<{ code: unknown; err: string }> {
  const child = spawn(process.execPath, [main, ...words], { stdio: ['ignore', 'ignore', 'pipe'] });
  const [err, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
  return { code, err };
}

describe('a file that cannot be opened', () => {
  test.each([
    [['verify', '--truth=/no/such/file'], 'verify: --truth /no/such/file cannot be read: there is no such file or folder\n'],
    [['verify', `--truth=${folder}`], `verify: --truth ${folder} cannot be read: it is a folder\n`],
    [['run', '--replay=/no/such.csv'], 'simulate: --replay /no/such.csv cannot be read: there is no such file or folder\n'],
    [['run', `--truth=${folder}`], `simulate: --truth ${folder} cannot be written: it is a folder\n`],
  ])('%j', async (words, err) => {
    expect(await run(...words)).toEqual({ code: 2, err });
  });
});

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { defineCommand } from '../command.ts';
import { configurationPage } from '../configuration-page.ts';
import { errorsPage } from '../errors-page.ts';

/** Path below the project's root and content of every generated page. */
export const GENERATED_PAGES: readonly { readonly path: string; make(): string }[] = [
  { path: 'docs/configuration.md', make: configurationPage },
  { path: 'docs/errors.md', make: errorsPage },
];

const projectRoot = new URL('../../../', import.meta.url);

export const docs = defineCommand({
  description: 'For those who work on Ingot: the pages are checked for freshness by test/tidy.test.ts.',
  flags: { check: { kind: 'boolean', help: 'Write nothing; exit code 4 when a page is not up to date.' } },
  examples: [{ line: 'npm run docs', shows: 'which pages were written' }],
  run: async ({ flags, stdout }) => {
    let staleCount = 0;
    for (const { path, make } of GENERATED_PAGES) {
      const isStale = readPage(path) !== make();
      if (isStale) staleCount++;
      if (isStale && !flags.check) {
        mkdirSync(new URL('docs/', projectRoot), { recursive: true });
        writeFileSync(new URL(path, projectRoot), make());
      }
      stdout.write(`${path}: ${isStale ? (flags.check ? 'not up to date; run npm run docs' : 'written') : 'up to date'}\n`);
    }
    return flags.check && staleCount > 0 ? 4 : 0;
  },
});

function readPage(path: string): string | null {
  try {
    return readFileSync(new URL(path, projectRoot), 'utf8');
  } catch {
    return null;
  }
}

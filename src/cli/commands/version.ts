import { readFileSync } from 'node:fs';
import { defineCommand } from '../command.ts';

const manifest = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };

export const version = defineCommand({
  flags: {},
  examples: [{ line: 'ingot version', shows: 'one line' }],
  run: async ({ stdout }) => {
    stdout.write(`ingot ${manifest.version} (Node ${process.versions.node}, ${process.platform} ${process.arch})\n`);
    return 0;
  },
});

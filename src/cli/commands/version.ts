import { defineCommand } from '../command.ts';
import { PRODUCT_VERSION } from '../product-version.ts';

export const version = defineCommand({
  flags: {},
  examples: [{ line: 'ingot version', shows: 'one line' }],
  run: async ({ stdout }) => {
    stdout.write(`ingot ${PRODUCT_VERSION} (Node ${process.versions.node}, ${process.platform} ${process.arch})\n`);
    return 0;
  },
});

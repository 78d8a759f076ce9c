import { readFileSync } from 'node:fs';
import type { TestProject } from 'vitest/node';
import type { TestStack } from './stack.ts';

/** Runs once before the tests of the project `real`. A component that does not start fails the whole run. */
export async function setup(project: TestProject): Promise<void> {
  const file = process.env['INGOT_TEST_STACK'];
  if (file === undefined) throw new Error('Set INGOT_TEST_STACK to a file with the addresses of a running stack.');
  project.provide('stack', JSON.parse(readFileSync(file, 'utf8')) as TestStack);
}

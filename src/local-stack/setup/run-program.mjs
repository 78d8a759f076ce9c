import { spawn } from 'node:child_process';

/** What the user must do before going on. The program ends with exit code 2. */
export class MissingPart extends Error {}

/** How many of the last lines of a failed program are shown. */
const TAIL_LINES = 25;

/**
 * Runs a program to its end and resolves with its output, both streams together. Its output is only shown when it fails: then the
 * promise rejects with the last lines.
 */
export function runProgram(program, args, { cwd, env = {}, deadlineMs = 900_000 } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: deadlineMs });
    let output = '';
    const keep = (chunk) => {
      output = (output + chunk).slice(-100_000);
    };
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(output);
      const tail = output.trimEnd().split('\n').slice(-TAIL_LINES).join('\n');
      reject(new Error(`'${[program, ...args].join(' ')}' ended with ${signal ?? `exit code ${code}`}:\n${tail}`));
    });
  });
}

import { IngotError } from '../errors.ts';
import { escapeControls } from './terminal-text.ts';

// What a user reads when a command fails: what, where, and the next thing to try; the stack only for who asks for it.

export function exitCodeOf(error: unknown): number {
  return error instanceof IngotError ? error.exitCode : 1;
}

export interface FailureTextOptions {
  /** The command's name, empty when none was found. */
  readonly command: string;
  readonly withStack: boolean;
  /** What may help beyond what the error says. */
  readonly hint?: string | null;
}

export function failureText(error: unknown, { command, withStack, hint = null }: FailureTextOptions): string {
  const lines = [...messageOf(error, command).split('\n'), ...(hint === null ? [] : [hint])].map(escapeControls);
  if (withStack) lines.push(...stackLines(error));
  return `${lines.join('\n')}\n`;
}

function messageOf(error: unknown, command: string): string {
  if (error instanceof IngotError) return `ingot: ${error.message} [${error.code}]`;
  const what = error instanceof Error ? error.message : String(error);
  return `ingot: '${command}' failed unexpectedly: ${what}\nThis is a fault in Ingot. Run it again with LOG_LEVEL=debug to see where.`;
}

function stackLines(error: unknown): string[] {
  const lines: string[] = [];
  for (let at = error, depth = 0; at instanceof Error && depth < 8; at = at.cause, depth++) {
    lines.push(
      ...(depth === 0 ? '' : 'caused by: ')
        .concat(at.stack ?? at.message)
        .split('\n')
        .map(escapeControls),
    );
  }
  return lines;
}

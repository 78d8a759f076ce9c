// What the tidy test wants to know of a file of source, from its text alone. The formatter keeps the text regular enough.

export interface ImportOf {
  readonly specifier: string;
  /** `import type`, or only types between the braces. */
  readonly isType: boolean;
}

const STATIC_IMPORT = /^(?:import|export)\s+(type\s)?([^'";]*?)\s*from\s+'([^']+)'/gm;
const OTHER_IMPORT = /\b(?:import|require)\(\s*'([^']+)'/g;
const BARE_IMPORT = /^import '([^']+)'/gm;

export function importsOf(text: string): ImportOf[] {
  const code = withoutComments(text);
  const found: ImportOf[] = [];
  for (const [, type, names = '', specifier = ''] of code.matchAll(STATIC_IMPORT)) {
    const inner =
      /^\{(.*)\}$/s
        .exec(names.trim())?.[1]
        ?.split(',')
        .map((name) => name.trim())
        .filter(Boolean) ?? [];
    const isType = type !== undefined || (inner.length > 0 && inner.every((name) => name.startsWith('type ')));
    found.push({ specifier, isType });
  }
  for (const [, specifier = ''] of code.matchAll(OTHER_IMPORT)) found.push({ specifier, isType: false });
  for (const [, specifier = ''] of code.matchAll(BARE_IMPORT)) found.push({ specifier, isType: false });
  return found;
}

/** Line comments that stand alone or after code, and block comments. A `//` inside a string is kept when a colon precedes it. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[\s;{}(),])\/\/.*$/gm, '$1');
}

const FUNCTION_HEAD =
  /(\bfunction\b.*|=>\s*|^\s*(?:(?:async|static|override|get|set|public|private)\s+)*\*?#?[\w$]+(?:<.*>)?\(.*\)(?::.*)?\s*)\{$/;
const NOT_A_FUNCTION =
  /^\s*(?:if|for|while|switch|catch|else|do|try|return|class|interface|type|describe|test)\b|^\s*\}\s*(?:else|catch|finally)/;

/** Functions and methods of more than `maxLines` lines, as `name or first words (lines)`. */
export function longFunctions(text: string, maxLines: number): string[] {
  const lines = text.split('\n');
  const found: string[] = [];
  lines.forEach((line, start) => {
    if (!FUNCTION_HEAD.test(line) || NOT_A_FUNCTION.test(line)) return;
    const indent = /^\s*/.exec(line)![0];
    const length = lines.slice(start + 1).findIndex((other) => other.startsWith(`${indent}}`)) + 2;
    if (length > maxLines) found.push(`${line.trim().slice(0, 60)} (${length} lines)`);
  });
  return found;
}

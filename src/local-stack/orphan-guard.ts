import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';

// Children must not outlive us, not even when we are killed with -9. One small shell process holds the reading end of a pipe of ours
// and knows the children; when the pipe closes, however we ended, it stops their process groups: politely, then for good.

const GUARD_SCRIPT = `
trap '' INT TERM HUP
pids=''
while read -r action pid; do
  rest=''
  for each in $pids; do [ "$each" = "$pid" ] || rest="$rest $each"; done
  pids=$rest
  [ "$action" = guard ] && pids="$pids $pid"
done
for each in $pids; do kill -s TERM -- "-$each" 2>/dev/null; done
tries=0
while [ "$tries" -lt 50 ]; do
  alive=''
  for each in $pids; do kill -s 0 -- "-$each" 2>/dev/null && alive=yes; done
  [ -z "$alive" ] && exit 0
  sleep 0.1
  tries=$((tries + 1))
done
for each in $pids; do kill -s KILL -- "-$each" 2>/dev/null; done
`;

let guard: ChildProcess | null = null;

/** From now on the process group of this child ends with us. */
export function guardChild(pid: number): void {
  tell(`guard ${pid}`);
}

/** The child has ended: its number may soon belong to somebody else. */
export function releaseChild(pid: number): void {
  tell(`release ${pid}`);
}

function tell(line: string): void {
  guard ??= startGuard();
  guard.stdin?.write(`${line}\n`);
}

function startGuard(): ChildProcess {
  // A session of its own: a Ctrl-C in the terminal must reach only us, who stop the children in order.
  const started = spawn('/bin/sh', ['-c', GUARD_SCRIPT, 'ingot-orphan-guard'], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  const forget = (): void => {
    if (guard === started) guard = null;
  };
  started.on('error', forget);
  started.on('exit', forget);
  started.stdin?.on('error', forget);
  started.unref();
  (started.stdin as Socket | null)?.unref();
  return started;
}

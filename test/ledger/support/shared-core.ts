/**
 * A core that the calling thread has to share: it is pinned to one, and so is the endless loop of another process. So it
 * waits for a core again and again, on a machine of any size.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFileSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';

/** Why no core can be shared, or counted, here; null when it can. */
export const sharedCoreMissing: string | null = missing();

function missing(): string | null {
  // A kernel that does not count says 0 0 0.
  if (!/ [1-9]\d*$/m.test(schedstat())) return 'needs /proc/thread-self/schedstat';
  return spawnSync('taskset', ['-V']).status === 0 ? null : 'needs taskset (util-linux)';
}

function schedstat(): string {
  try {
    return readFileSync('/proc/thread-self/schedstat', 'utf8');
  } catch {
    return '';
  }
}

/** Runs `use` on a core that is never free; ends the other process and lifts the pinning afterwards. */
export function onSharedCore(use: () => void): void {
  const allowed = /^Cpus_allowed_list:\s*(.+)$/m.exec(readFileSync('/proc/thread-self/status', 'utf8'))?.[1] ?? '';
  const core = /^\d+/.exec(allowed)?.[0] ?? '';
  // The limit of CPU time ends the loop should nobody be left to end it.
  const rival = spawn('taskset', ['-c', core, 'sh', '-c', 'ulimit -t 60; while :; do :; done'], { stdio: 'ignore' });
  try {
    pin(core);
    use();
  } finally {
    pin(allowed);
    rival.kill('SIGKILL');
  }
}

function pin(cores: string): void {
  execFileSync('taskset', ['-pc', cores, basename(readlinkSync('/proc/thread-self'))], { stdio: 'ignore' });
}

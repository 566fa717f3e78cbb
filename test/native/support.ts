/** What the native tests share: lanes over fresh memory, reasons to skip, commands, and the C compiler. */
import { execFileSync, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import * as native from '../../src/native/addon.ts';
import { BOOKS } from '../../src/native/layout.ts';
import type { LaneHandle, LaneOptions } from '../../src/native/types.ts';

export const ROOT: string = fileURLToPath(new URL('../..', import.meta.url));

export interface TestLane {
  readonly handle: LaneHandle;
  readonly wakeFd: number;
  readonly aead: string;
  readonly arena: Uint8Array;
  /** The arena as words. */
  readonly words: Int32Array;
  readonly books: Float64Array;
}

export const ARENA_LENGTH: number = 1 << 21;

/** A lane without descriptors, over an arena of its own; `options` adds them. */
export function openTestLane(options: Partial<LaneOptions> = {}): TestLane {
  const arena = new Uint8Array(new SharedArrayBuffer(ARENA_LENGTH));
  const books = new Float64Array(BOOKS.CELLS);
  const defaults = { arena, books, tunFd: -1, udp4Fd: -1, udp6Fd: -1, aead: 'auto', bookTime: true } as const;
  const { handle, wakeFd, aead } = native.openLane({ ...defaults, ...options });
  return { handle, wakeFd, aead, arena, books, words: new Int32Array(arena.buffer) };
}

/** Why tests with a TUN cannot run here, or null. */
export function tunMissing(): string | null {
  if (process.getuid?.() !== 0) return 'needs root to make interfaces and namespaces';
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK);
  } catch {
    return 'needs /dev/net/tun';
  }
  return spawnSync('ip', ['-V']).status === 0 ? null : 'needs ip (iproute2)';
}

/** Why tests in C cannot run here, or null. */
export function compilerMissing(): string | null {
  return spawnSync('cc', ['--version']).status === 0 ? null : 'needs a C compiler as cc';
}

/** Title of a test that may be skipped: says why. */
export function titled(title: string, missing: string | null): string {
  return missing === null ? title : `${title} [skipped: ${missing}]`;
}

export function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

/** Ones' complement sum of big-endian 16-bit words, folded: the slow twin of the native one. */
export function slowSum(bytes: Uint8Array, seed = 0): number {
  let sum = seed;
  for (let i = 0; i < bytes.length; i++) sum += (bytes[i] ?? 0) * (i % 2 === 0 ? 256 : 1);
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}

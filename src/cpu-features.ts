/** What the processor is good at, as the kernel tells it; read once. */
import { readFileSync } from 'node:fs';

const CPU_INFO = '/proc/cpuinfo';
/** AES rounds and the carry-less multiplication of GCM: x86-64 calls them `aes` and `pclmulqdq`, arm64 `aes` and `pmull`. */
const AES_FLAGS: readonly (readonly string[])[] = [
  ['aes', 'pclmulqdq'],
  ['vaes', 'vpclmulqdq'],
  ['aes', 'pmull'],
];

let known: boolean | null = null;

/** Whether AES-256-GCM is done by instructions of this processor, and so fast; false where nobody can tell. */
export function hasFastAes(): boolean {
  known ??= readsFastAes(cpuInfo());
  return known;
}

/** The same of a text of /proc/cpuinfo. Every processor must have the instructions: a lane runs on any. */
export function readsFastAes(text: string): boolean {
  const lists = [...text.matchAll(/^(?:flags|Features)\s*:(.*)$/gm)].map(([, list = '']) => list.trim().split(/\s+/));
  const isFast = (flags: readonly string[]): boolean =>
    AES_FLAGS.some((wanted) => wanted.every((flag) => flags.includes(flag)));
  return lists.length > 0 && lists.every(isFast);
}

function cpuInfo(): string {
  try {
    return readFileSync(CPU_INFO, 'latin1');
  } catch {
    return '';
  }
}

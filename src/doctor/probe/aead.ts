/**
 * Probe of the AEAD back ends: opens each as a lane does, seals full packets with it in both ciphers, and takes the best time
 * of many.
 */
import { arch } from 'node:process';
import { readsFastAes } from '../../cpu-features.ts';
import { GigatunError } from '../../errors.ts';
import { ACTIVITY } from '../../ledger/catalog.ts';
import { CIPHER_NUMBERS } from '../../native/cipher-number.ts';
import { BOOKS, SEAL } from '../../native/layout.ts';
import type { LaneHandle } from '../../native/types.ts';
import type { Cipher } from '../../protocol/cipher.ts';
import { type AeadFacts, type BackEndFacts, MESSAGE_LENGTH } from '../aead.ts';
import type { Host } from './host.ts';
import type { Addon } from './native.ts';
import { parseCpuInfo, parseSystemIds } from './proc-text.ts';

type BackEnd = 'ipsec-mb' | 'openssl';

const BATCH = 64;
const BATCHES = 30;
const ROOM = 1_536;
const PAYLOAD_AT = 8_192;
const OUT_AT: number = PAYLOAD_AT + ROOM;
const ARENA_LENGTH: number = OUT_AT + BATCH * ROOM;

/** @param forced what GIGATUN_AEAD says, '' for nothing. */
export function probeAead(host: Host, addon: Addon | null, forced: string): AeadFacts {
  const cpuInfo = host.read('/proc/cpuinfo') ?? '';
  return {
    chosen: addon === null ? null : chosenBackEnd(addon, forced),
    forced,
    backEnds: (['ipsec-mb', 'openssl'] as const).map((name) => probeBackEnd(host, addon, name)),
    architecture: arch,
    cpuFlags: parseCpuInfo(cpuInfo).flags,
    hasFastAes: readsFastAes(cpuInfo),
    systemIds: parseSystemIds(host.read('/etc/os-release') ?? ''),
  };
}

function chosenBackEnd(addon: Addon, forced: string): string | null {
  if (forced !== '' && forced !== 'auto' && forced !== 'openssl' && forced !== 'ipsec-mb') return null;
  return withBackEnd(addon, forced === '' ? 'auto' : forced, (_, name) => name);
}

function probeBackEnd(host: Host, addon: Addon | null, name: BackEnd): BackEndFacts {
  const missing = { name, available: false, version: null, sealNs: null };
  if (addon === null) return missing;
  const facts = withBackEnd(addon, name, (handle, _, words) => ({
    name,
    available: true,
    version: name === 'openssl' ? (process.versions.openssl ?? null) : loadedVersion(host),
    sealNs: {
      'chacha20-poly1305': timeSeal(addon, handle, words, 'chacha20-poly1305'),
      'aes-256-gcm': timeSeal(addon, handle, words, 'aes-256-gcm'),
    },
  }));
  return facts ?? missing;
}

/** Null when this machine lacks the back end. */
function withBackEnd<Result>(
  addon: Addon,
  name: BackEnd | 'auto',
  use: (handle: LaneHandle, aead: string, words: Int32Array) => Result,
): Result | null {
  const words = new Int32Array(new SharedArrayBuffer(ARENA_LENGTH));
  const fds = { tunFd: -1, udp4Fd: -1, udp6Fd: -1 };
  const books = new Float64Array(BOOKS.CELLS);
  try {
    const arena = new Uint8Array(words.buffer);
    const { handle, aead } = addon.openLane({ arena, books, ...fds, aead: name, bookTime: false });
    try {
      return use(handle, aead, words);
    } finally {
      addon.closeLane(handle);
    }
  } catch (error) {
    if (error instanceof GigatunError && error.code === 'UNSUPPORTED') return null;
    throw error;
  }
}

/** The version in the name of the library's file, which is loaded now. */
function loadedVersion(host: Host): string | null {
  const maps = host.read('/proc/self/maps') ?? '';
  return /\/libIPSec_MB\.so\.(\d+(?:\.\d+){0,3})/.exec(maps)?.[1] ?? null;
}

/** Best time of a message over some batches, nanoseconds: what else runs on the core can only add to it. */
function timeSeal(addon: Addon, handle: LaneHandle, words: Int32Array, cipher: Cipher): number {
  addon.setKey(handle, 0, new Uint8Array(32).fill(1), CIPHER_NUMBERS[cipher]);
  for (let index = 0; index < BATCH; index += 1) describeMessage(words, index);
  let bestNs = Number.POSITIVE_INFINITY;
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const startNs = process.hrtime.bigint();
    addon.seal(handle, 0, BATCH, ACTIVITY.USER_CONTROL);
    bestNs = Math.min(bestNs, Number(process.hrtime.bigint() - startNs) / BATCH);
  }
  addon.setKey(handle, 0, null);
  return bestNs;
}

function describeMessage(words: Int32Array, index: number): void {
  const at = index * SEAL.WORDS;
  words[at + SEAL.NONCE_LOW] = index;
  words[at + SEAL.PAYLOAD_OFFSET] = PAYLOAD_AT;
  words[at + SEAL.PAYLOAD_LENGTH] = MESSAGE_LENGTH;
  words[at + SEAL.PADDED_LENGTH] = MESSAGE_LENGTH;
  words[at + SEAL.OUT_OFFSET] = OUT_AT + index * ROOM;
  words[at + SEAL.CHECKSUM_START] = -1;
}

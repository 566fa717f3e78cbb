/**
 * What a route look-up costs, by the number of prefixes: random addresses that some prefix holds, in a table of random
 * networks (as the Internet's), of neighbouring hosts (as most tunnels'), and of IPv6 networks.
 */
import { type AllowedIp, buildAllowedIps, lookupIpv4, lookupIpv6 } from '../../tables/allowed-ips.ts';
import { median } from '../statistics.ts';

export const LOOKUP_SIZES = [10, 1_000, 100_000] as const;
const SHAPES = ['networks', 'hosts', 'ipv6'] as const;
type Shape = (typeof SHAPES)[number];

/** Different addresses asked for; more than any cache of the processor's front holds answers for. */
const ADDRESSES = 1 << 16;
const ADDRESS_MASK = ADDRESSES - 1;
const LOOKUPS = 1 << 20;
const ROUNDS = 7;
const PEERS = 10_000;

export interface LookupFigure {
  readonly shape: Shape;
  readonly prefixes: number;
  readonly buildMs: number;
  readonly tableBytes: number;
  /** Of one look-up, the median of some rounds. */
  readonly ns: number;
}

/** Measures all shapes and sizes; in turns, so that what the machine does meanwhile meets all alike. */
export function measureLookups(): LookupFigure[] {
  const subjects = SHAPES.flatMap((shape) => LOOKUP_SIZES.map((prefixes) => openSubject(shape, prefixes)));
  for (const subject of subjects) subject.run();
  for (let round = 0; round < ROUNDS; round += 1) for (const subject of subjects) subject.samples.push(subject.run());
  return subjects.map(({ samples, figure }) => ({ ...figure, ns: median(samples) }));
}

interface Subject {
  readonly figure: Omit<LookupFigure, 'ns'>;
  readonly samples: number[];
  /** One round; ns per look-up. */
  readonly run: () => number;
}

function openSubject(shape: Shape, prefixes: number): Subject {
  const random = randomWords(prefixes);
  const list = Array.from({ length: prefixes }, (_, at) => prefixOf(shape, at, random));
  const startedMs = performance.now();
  const { ipv4, ipv6 } = buildAllowedIps(list);
  const buildMs = performance.now() - startedMs;
  const words = addressesIn(list, random);
  const run = shape === 'ipv6' ? () => timeIpv6(ipv6, words) : () => timeIpv4(ipv4, words);
  return { figure: { shape, prefixes, buildMs, tableBytes: ipv4.byteLength + ipv6.byteLength }, samples: [], run };
}

/** A generator with a seed (xorshift32), so that each run asks the same. */
function randomWords(seed: number): () => number {
  let state = seed | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state;
  };
}

function prefixOf(shape: Shape, at: number, random: () => number): AllowedIp {
  const peer = at % PEERS;
  if (shape === 'hosts') return { address: bytesOf([0x0a00_0000 + at]), length: 32, peer };
  if (shape === 'networks') return { address: bytesOf([random()]), length: 16 + ((random() >>> 8) % 13), peer };
  const head = 0xfd00_0000 | (random() >>> 8);
  return { address: bytesOf([head, random(), 0, 0]), length: 48 + ((random() >>> 8) % 17), peer };
}

function bytesOf(words: readonly number[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(words.length * 4));
  words.forEach((word, at) => {
    view.setInt32(at * 4, word);
  });
  return new Uint8Array(view.buffer);
}

/** The words of each address, one or four: random within a random prefix. */
function addressesIn(list: readonly AllowedIp[], random: () => number): Int32Array {
  const wordsOfOne = list[0].address.length / 4;
  const words = new Int32Array(ADDRESSES * wordsOfOne);
  for (let at = 0; at < ADDRESSES; at += 1) {
    const { address, length } = list[(random() >>> 0) % list.length];
    const view = new DataView(address.buffer);
    for (let word = 0; word * 4 < address.length; word += 1) {
      const fixed = Math.max(0, Math.min(32, length - word * 32));
      const mask = fixed === 0 ? 0 : -1 << (32 - fixed);
      words[at * wordsOfOne + word] = (view.getInt32(word * 4) & mask) | (random() & ~mask);
    }
  }
  return words;
}

function timeIpv4(table: Int32Array, words: Int32Array): number {
  let found = 0;
  const startedNs = process.hrtime.bigint();
  for (let at = 0; at < LOOKUPS; at += 1) found += lookupIpv4(table, words[at & ADDRESS_MASK]) >= 0 ? 1 : 0;
  return perLookup(startedNs, found);
}

function timeIpv6(table: Int32Array, words: Int32Array): number {
  let found = 0;
  const startedNs = process.hrtime.bigint();
  for (let at = 0; at < LOOKUPS; at += 1) {
    const word = (at & ADDRESS_MASK) << 2;
    found += lookupIpv6(table, words[word], words[word + 1], words[word + 2], words[word + 3]) >= 0 ? 1 : 0;
  }
  return perLookup(startedNs, found);
}

function perLookup(startedNs: bigint, found: number): number {
  const ns = Number(process.hrtime.bigint() - startedNs) / LOOKUPS;
  if (found !== LOOKUPS) throw new RangeError(`expected ${LOOKUPS} addresses to be found, got ${found}`);
  return ns;
}

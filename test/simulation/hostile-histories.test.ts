/**
 * A peer that lies with good keys, and one without who replays and forges: reports, answers, probes, tails, parity, data with
 * gaps, all of it random, mutated, doubled, and from addresses that are not its own. Whatever comes, no more is sent again
 * than the budgets allow, nothing but probes and answers goes where nobody has answered, what is delivered was sealed by the
 * peer and comes once, and all memory is free in the end. A failure says its seed.
 */
import { describe, expect, it } from 'vitest';
import { type HistorySettings, NO_HISTORY, RING_BYTES_MIN } from '../../src/history/settings.ts';
import type { Endpoint } from '../../src/packet/endpoint.ts';
import { PATHS_MAX, type PathSettings } from '../../src/path/path-types.ts';
import { CONTROL_KIND } from '../../src/protocol/control-header.ts';
import { type ControlMessage, decodeControlMessage, encodeControlMessage } from '../../src/protocol/control-message.ts';
import { TAIL_LENGTH, writeTail } from '../../src/protocol/gaps-message.ts';
import { PARITY_HEADER_LENGTH, writeParity } from '../../src/protocol/parity-message.ts';
import { mutateBytes, Random } from '../fuzz/random.ts';
import { udpPacketBytes } from '../support/arbitrary-packets.ts';
import { pathEndpoint } from '../support/fake-history.ts';
import { padded } from '../support/fake-lane.ts';
import { type Gap, gapsMessage } from '../support/gap-report.ts';
import { HostilePeer, type Left } from './hostile-peer.ts';

/** Turns of each story, and stories of each kind: `GIGATUN_HOSTILE_SEEDS` for more, from `GIGATUN_HOSTILE_SEED` on. */
const STEPS = 1_000;
const SEEDS = Number(process.env.GIGATUN_HOSTILE_SEEDS ?? 1);
const SEED = Number(process.env.GIGATUN_HOSTILE_SEED ?? 1);
/** Addresses at which the attacker hears what is sent there, and others. */
const MINE = [0, 1, 2].map(pathEndpoint);
const FOREIGN_HOSTS = 12;
/** What may have been saved up for repeats, for what is sent again at once over another path, and for copies, bytes. */
const REPEATS_IN_HAND = 65_536;
const RESEND_IN_HAND = 262_144;
const COPIES_IN_HAND = 262_144;
/** Probes that are sent to an address that never answers: five, and after ten seconds again. */
const PROOFS = 5;
const PROOFS_AGAIN_MS = 10_000;

const PATHS: readonly PathSettings[] = [0, 1].map((path) => ({
  name: `path${path}`,
  endpoint: { address: `198.51.100.${path + 1}`, port: 40_000 + path },
  ...{ localAddress: null, localInterface: null, weight: 1, isBackup: false },
}));

const BASE: HistorySettings = { ...NO_HISTORY, retransmitMs: 150, ringBytes: RING_BYTES_MIN };
const FEC = { mode: 'on', data: 8, parity: 2, delayMs: 10 } as const;
const KINDS: readonly (readonly [string, HistorySettings])[] = [
  ['one address', { ...BASE, inOrder: 'all', fec: FEC }],
  ['failover', { ...BASE, inOrder: 'tcp', fec: FEC, paths: PATHS }],
  ['redundant', { ...BASE, paths: PATHS, pathMode: 'redundant', copies: { ...BASE.copies, count: 2, budget: 0.5 } }],
  ['weighted', { ...BASE, inOrder: 'all', paths: PATHS, pathMode: 'weighted' }],
  ['delayed copies', { ...BASE, copies: { ...BASE.copies, count: 3, delayMs: 5, budget: 0.4 } }],
];

function foreign(host: number): Endpoint {
  return { ...pathEndpoint(0), address: Uint8Array.of(198, 18, 0, host), port: 9_000 + host };
}

function isForeign({ address }: Endpoint): boolean {
  return address[0] === 198 && address[1] === 18;
}

/** The attacker: what it knows, and one act after another. */
class Liar {
  readonly random: Random;
  readonly end: HostilePeer;
  readonly #hasPaths: boolean;
  /** By keypair: the next counter, and some that were left out. */
  #counters: number[] = [];
  readonly #left: Map<number, number[]> = new Map();
  /** Highest counter that it saw, of the present keypair. */
  #heard = 0;
  /** Sequences that it was asked for at its own addresses. */
  #asked: ControlMessage[] = [];
  readonly #old: Uint8Array[] = [];
  /** Which of its addresses answer at present. */
  #answers = [true, true, true];
  #packets = 0;
  foreignBytes = 0;
  probes = 0;
  inputs = 0;

  constructor(seed: number, settings: HistorySettings) {
    this.random = new Random(seed);
    this.end = new HostilePeer(settings, MINE[0] as Endpoint);
    this.#hasPaths = settings.paths.length > 0;
  }

  /** Takes what came to its own addresses; answers probes as it pleases. */
  hear(left: readonly Left[]): void {
    for (const { to, kind, plaintext, counter, receiver } of left) {
      const at = MINE.findIndex((own) => Buffer.compare(own.address, to.address) === 0);
      if (at === -1) continue;
      if (receiver - 2_000 === this.end.keypairs - 1) this.#heard = Math.max(this.#heard, counter);
      const message = kind === CONTROL_KIND.PATH_PROBE ? decodeControlMessage(plaintext) : null;
      if (message?.kind !== 'pathProbe') continue;
      this.#asked = [...this.#asked, message].slice(-50);
      if (this.#answers[at]) this.#say(answerTo(message, this.random), MINE[at]);
    }
  }

  act(): void {
    const { random, end } = this;
    if (random.oneIn(40)) this.#answers = this.#answers.map(() => random.below(3) > 0);
    if (random.oneIn(300)) this.#rekey();
    if (random.oneIn(3)) end.send(1 + random.below(12), 60 + random.below(1_300));
    for (let acts = random.below(6); acts > 0; acts -= 1) this.#actOnce();
    if (random.oneIn(50)) for (let flood = 0; flood < 60; flood += 1) this.#actOnce();
  }

  #rekey(): void {
    this.end.rekey();
    this.#heard = 0;
  }

  #actOnce(): void {
    const { random } = this;
    switch (random.below(9)) {
      case 0:
        this.#sendData();
        break;
      case 1:
        this.#replay();
        break;
      case 2:
        this.#forge();
        break;
      case 3:
        this.#say(this.#message(), this.#anywhere());
        break;
      default: {
        const bytes = this.#message();
        if (random.oneIn(3)) this.#say(mutateBytes(random, bytes), MINE[random.below(3)]);
        else this.#say(bytes, MINE[random.below(3)]);
      }
    }
  }

  /** Control messages may come from anywhere; in WireGuard's own roaming all else moves the endpoint, as it should. */
  #anywhere(): Endpoint {
    return this.random.oneIn(2) ? foreign(this.random.below(FOREIGN_HOSTS)) : (MINE[this.random.below(3)] as Endpoint);
  }

  #message(): Uint8Array {
    const { random } = this;
    switch (random.below(8)) {
      case 0:
      case 1:
        return this.#report(CONTROL_KIND.GAPS);
      case 2:
        return this.#report(CONTROL_KIND.GONE);
      case 3:
        return this.#parity();
      case 4:
        return tail();
      case 5:
        return encodeControlMessage(randomAnswer(random));
      case 6: {
        const asked = this.#asked.length > 0 ? random.pick(this.#asked) : null;
        return encodeControlMessage(asked?.kind === 'pathProbe' ? answerBody(asked, random) : randomAnswer(random));
      }
      default:
        return encodeControlMessage(randomProbe(random), random.oneIn(4) ? 48 + random.below(400) : 48);
    }
  }

  /** Of what was sent, of what never was, of all there can be, on this keypair or another. */
  #report(kind: number): Uint8Array {
    const { random, end } = this;
    const own = kind === CONTROL_KIND.GAPS ? 2_000 : 1_000;
    const index = random.oneIn(5) ? own + random.below(end.keypairs + 1) : own + end.keypairs - 1;
    const known = kind === CONTROL_KIND.GAPS ? this.#heard : (this.#counters[end.keypairs - 1] ?? 0);
    const near = Math.max(0, known - random.below(random.oneIn(3) ? 9_000 : 60));
    const base = random.oneIn(8) ? random.pick([0, known + 1, 2 ** 32, 2 ** 52]) : near;
    if (random.oneIn(4)) return gapsMessage(index, base, [[base, 1 + random.below(8_192)]], kind);
    const gaps: Gap[] = [];
    for (let at = base, left = 1 + random.below(128); left > 0 && at < base + 8_000; left -= 1) {
      const count = 1 + random.below(3);
      gaps.push([at, count]);
      at += count + random.below(40);
    }
    return gapsMessage(index, base, gaps, kind);
  }

  #parity(): Uint8Array {
    const { random, end } = this;
    const length = 18 + random.below(1_360);
    const bytes = random.bytes(PARITY_HEADER_LENGTH + length);
    const first = Math.max(0, (this.#counters[end.keypairs - 1] ?? 0) - random.below(80));
    const parities = 1 + random.below(8);
    const mask = random.word() & (random.oneIn(2) ? 0xff : 0xffff_ffff);
    const index = 1_000 + end.keypairs - 1 - (random.oneIn(8) ? 1 : 0);
    const high = random.oneIn(4) ? random.word() & 0xf : 0;
    const number = random.below(parities);
    writeParity(new DataView(bytes.buffer), 0, index, first, mask | 1, high, number, parities, length);
    return bytes;
  }

  /** Numbered packets, with gaps, leaps, and what was left out later. */
  #sendData(): void {
    const { random, end } = this;
    const source = this.#hasPaths && random.oneIn(4) ? foreign(random.below(FOREIGN_HOSTS)) : MINE[random.below(3)];
    for (let count = 1 + random.below(9); count > 0; count -= 1) {
      this.#packets += 1;
      const packet = udpPacketBytes(5, 9, 48 + 16 * random.below(60), this.#packets);
      const numbered = Uint8Array.from(packet);
      new DataView(numbered.buffer).setUint32(36, this.#packets);
      this.#arrive(end.seal(padded(numbered), this.#counter(), end.keypairs - 1, true), source);
    }
  }

  #say(plaintext: Uint8Array, source: Endpoint | undefined): void {
    const { random, end } = this;
    const isProbe = plaintext[0] === 1 && plaintext[1] === CONTROL_KIND.PATH_PROBE;
    if (isProbe) this.probes += 1;
    this.#arrive(end.seal(padded(plaintext), this.#counter(), end.keypairs - 1, false), source);
    if (random.oneIn(6)) this.#replay();
  }

  #counter(): number {
    const { random } = this;
    const id = this.end.keypairs - 1;
    const left = this.#left.get(id) ?? [];
    this.#left.set(id, left);
    if (left.length > 0 && random.oneIn(4)) return left.splice(random.below(left.length), 1)[0] ?? 0;
    let next = this.#counters[id] ?? 0;
    if (random.oneIn(5)) {
      const leap = random.oneIn(30) ? random.below(20_000) : 1 + random.below(4);
      for (let skipped = 0; skipped < Math.min(leap, 20); skipped += 1) left.push(next + skipped);
      next += leap;
    }
    this.#counters[id] = next + 1;
    return next;
  }

  #replay(): void {
    const { random } = this;
    if (this.#old.length > 0) this.#arrive(random.pick(this.#old), this.#anywhere());
  }

  /** What one without keys can do: known datagrams with other bytes. */
  #forge(): void {
    const { random } = this;
    if (this.#old.length === 0) return;
    const bytes = Uint8Array.from(random.pick(this.#old));
    const at = 8 + random.below(bytes.length - 8);
    bytes[at] = (bytes[at] ?? 0) ^ (1 + random.below(255));
    this.#arrive(bytes, this.#anywhere());
  }

  #arrive(datagram: Uint8Array, source: Endpoint | undefined): void {
    if (source === undefined) return;
    this.inputs += 1;
    if (isForeign(source)) this.foreignBytes += datagram.length;
    if (this.random.oneIn(3)) this.#old.push(datagram);
    if (this.#old.length > 200) this.#old.shift();
    this.end.lane.arrive([datagram], source);
  }
}

function tail(): Uint8Array {
  const bytes = new Uint8Array(TAIL_LENGTH);
  writeTail(new DataView(bytes.buffer), 0);
  return bytes;
}

function randomProbe(random: Random): ControlMessage {
  const carriesData = random.oneIn(2);
  return { kind: 'pathProbe', path: random.below(256), carriesData, sequence: random.word(), sentUs: random.word() };
}

function randomAnswer(random: Random): ControlMessage {
  return answerBody({ path: random.below(PATHS_MAX), sequence: random.word(), sentUs: random.word() }, random);
}

/** With figures that need not be true. */
function answerBody(
  { path, sequence, sentUs }: { path: number; sequence: number; sentUs: number },
  random: Random,
): ControlMessage {
  const isLie = random.oneIn(3);
  const heldUs = isLie ? random.word() : 0;
  const datagrams = isLie ? random.word() * 1_000 : 1_000;
  const arrivedUs = isLie ? random.word() : null;
  const bytes = datagrams * random.below(2_000);
  return { kind: 'pathAnswer', path, sequence, sentUs, heldUs, datagrams, bytes, arrivedUs };
}

function answerTo(probe: Extract<ControlMessage, { kind: 'pathProbe' }>, random: Random): Uint8Array {
  return encodeControlMessage(answerBody(probe, random));
}

interface Sums {
  goneBytes: number;
  foreignBytes: number;
  foreignProbes: number;
  answers: number;
  reports: number;
}

/** Nothing but probes and answers goes to an address that never answered. */
function check(left: readonly Left[], sums: Sums): void {
  for (const { to, kind, length, isAgain } of left) {
    if (kind === CONTROL_KIND.GONE && !isAgain) sums.goneBytes += length;
    if (kind === CONTROL_KIND.PATH_ANSWER) sums.answers += 1;
    if (kind === CONTROL_KIND.GAPS && !isAgain) sums.reports += 1;
    if (!isForeign(to)) continue;
    expect([CONTROL_KIND.PATH_PROBE, CONTROL_KIND.PATH_ANSWER]).toContain(kind);
    if (kind === CONTROL_KIND.PATH_PROBE) sums.foreignProbes += 1;
    else sums.foreignBytes += length;
  }
}

describe.each(KINDS)('a peer that lies, %s', (_name, settings) => {
  it.each(Array.from({ length: SEEDS }, (_, at) => SEED + at))(
    'gets no more than its share, and nobody else anything (seed %i)',
    { timeout: 60_000 },
    (seed) => {
      const liar = new Liar(seed, settings);
      const { end, random } = liar;
      const sums: Sums = { goneBytes: 0, foreignBytes: 0, foreignProbes: 0, answers: 0, reports: 0 };
      const { retransmitBudget, copies } = settings;
      const share = retransmitBudget + (copies.count > 1 ? copies.budget : 0);
      const startMs = end.lane.addon.nowMs;
      for (let step = 0; step < STEPS; step += 1) {
        liar.act();
        const left = end.turn(random.oneIn(20) ? random.below(400) : 1 + random.below(12));
        check(left, sums);
        liar.hear(left);
        const inHand = REPEATS_IN_HAND + RESEND_IN_HAND + (copies.count > 1 ? COPIES_IN_HAND : 0);
        expect(end.againBytes + sums.goneBytes).toBeLessThanOrEqual(share * end.firstBytes + inHand);
        expect(end.paths.figures(0).length).toBeLessThanOrEqual(PATHS_MAX);
      }
      if (settings.paths.length === 0) expect(end.switches).toBeGreaterThan(3);
      const elapsedMs = end.lane.addon.nowMs - startMs;
      expect(liar.inputs).toBeGreaterThan(STEPS * 2);
      // It was worth the trouble: something was asked for and sent again, delivered, and answered.
      expect(end.cell('REPEATS_TX')).toBeGreaterThan(100);
      expect(sums.answers).toBeGreaterThan(50);
      expect(end.delivered.size).toBeGreaterThan(500);
      for (const [packet, times] of end.delivered) {
        expect(times).toBe(1);
        expect(end.sealed.has(packet)).toBe(true);
      }
      expect(sums.foreignBytes).toBeLessThanOrEqual(liar.foreignBytes);
      const proofs = FOREIGN_HOSTS * PROOFS * (1 + Math.ceil(elapsedMs / PROOFS_AGAIN_MS));
      expect(sums.foreignProbes).toBeLessThanOrEqual(proofs);
      expect(sums.reports).toBeLessThanOrEqual(2 * (elapsedMs / 2 + 1));
      for (const { endpoint, use } of end.paths.figures(0))
        if (endpoint !== null && isForeign(endpoint)) expect(use).toBe('idle');
      for (let quiet = 0; quiet < 5; quiet += 1) check(end.turn(200), sums);
      expect(end.held).toBe(0);
      end.end();
      expect(end.isMemoryFree).toBe(true);
      expect(end.lane.context.histories.size).toBe(0);
    },
  );
});

/**
 * The place of an attack: a tunnel between two ends, an attacker, and newcomers that nobody has heard of before.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]
 *     attacker: 100.64.0.0/10 --[10.99.1.1]== veth ==[10.99.1.2]-- b: 10.77.0.2, UDP port 51820
 *     newcomer N: 10.77.1.N --TUN--[10.97.1.N]== veth ==[10.99.2.2]
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatKey, generatePrivateKey, publicKeyOf } from '../../control/key-text.ts';
import { type EndStats, readStats } from '../gigatun-stats.ts';
import type { Route } from '../iperf.ts';
import { Lab, type Namespace } from '../namespaces.ts';
import { innerRoute, type Pair, planPair, quickConfig } from '../pair.ts';
import { failure, type Running } from '../process.ts';
import { openSubject, type Subject } from '../scale/subject.ts';
import type { FloodJob, FloodReport } from './flood-end.ts';
import { type FloodKind, SOURCES_PREFIX } from './flood-kinds.ts';

const FLOOD_PROGRAM = fileURLToPath(new URL('../../../dist/lab/attack/flood-end.js', import.meta.url));
const UNREAD_PROGRAM = fileURLToPath(new URL('../../../dist/lab/attack/unread-end.js', import.meta.url));
const START_MS = 10_000;
const NEWCOMERS_PREFIX = '10.97.0.0/16';
/** Beside the tunnel's port: the floor's socket. */
const UNREAD_PORT = 51_821;

export interface FloodOptions {
  /** Datagrams a second; 0: as many as go. */
  readonly rate: number;
  readonly seconds: number;
}

/** A flood that has begun. */
export interface Flood {
  /** When it has ended: by its time, or because it was stopped. */
  readonly report: Promise<FloodReport>;
  readonly stop: () => void;
}

/** Somebody whom the device has in its configuration and has never heard of. */
export interface NewcomerAtDoor {
  /** Milliseconds from its first packet until the echo came back; Infinity when none did in time. */
  readonly knock: (timeoutMs: number) => Promise<number>;
  close(): Promise<unknown>;
}

interface Newcomer {
  readonly privateKey: string;
  readonly inner: string;
}

export class AttackLab implements AsyncDisposable {
  readonly pair: Pair;
  /** The end under attack. */
  readonly b: Subject;
  readonly #lab: Lab;
  readonly #a: Subject;
  readonly #attacker: Namespace;
  readonly #newcomersAt: Namespace;
  readonly #newcomers: readonly Newcomer[];
  readonly #recordedKey: string;
  #arrived = 0;
  #floods = 0;

  private constructor(lab: Lab, places: Places, a: Subject, b: Subject) {
    this.#lab = lab;
    this.pair = places.pair;
    this.#attacker = places.attacker;
    this.#newcomersAt = places.newcomersAt;
    this.#newcomers = places.newcomers;
    this.#recordedKey = places.recordedKey;
    this.#a = a;
    this.b = b;
  }

  /** Brings up both ends; `newcomers` may come later. `program`: main.js of another build. */
  static async open(newcomers: number, program: string | null = null): Promise<AttackLab> {
    const lab = new Lab();
    try {
      const places = plan(lab, newcomers);
      const { a, b } = places.pair;
      const first = await openSubject(lab, { name: a.device, namespace: a.namespace, text: quickConfig(a), program });
      const text = quickConfig(b) + sections(places);
      const second = await openSubject(lab, { name: b.device, namespace: b.namespace, text, program });
      return new AttackLab(lab, places, first, second);
    } catch (error) {
      lab.close();
      throw error;
    }
  }

  get route(): Route {
    return innerRoute(this.pair, 4);
  }

  /** Floods for some seconds; resolves when it has begun. */
  async flood(kind: FloodKind, { rate, seconds }: FloodOptions): Promise<Flood> {
    const { b } = this.pair;
    this.#floods += 1;
    const stopFile = join(this.#lab.directory, `stop-${this.#floods}`);
    const job: FloodJob = {
      kind: kind.name,
      address: '10.99.1.2',
      port: kind.hitsDevice ? b.listenPort : UNREAD_PORT,
      ...{ rate, seconds, stopFile, publicKey: b.publicKey, recordedKey: this.#recordedKey },
    };
    const file = join(this.#lab.directory, `flood-${this.#floods}.json`);
    writeFileSync(file, JSON.stringify(job), { mode: 0o600 });
    const unread = kind.hitsDevice ? null : await this.#openUnread();
    const command = [process.execPath, FLOOD_PROGRAM, file];
    const program = this.#attacker.start(command, { timeoutMs: START_MS + seconds * 1_000 });
    await program.waitForOutput(/^flooding$/m, START_MS);
    const report = reportOf(program).finally(() => unread?.stop());
    return { report, stop: () => writeFileSync(stopFile, '') };
  }

  /** Prepares the next newcomer, which says nothing until it is asked to knock. */
  async nextNewcomer(): Promise<NewcomerAtDoor> {
    const newcomer = this.#newcomers[this.#arrived];
    if (newcomer === undefined) throw new RangeError('expected fewer newcomers');
    this.#arrived += 1;
    const namespace = this.#newcomersAt;
    // Nobody was heard of at its address before: that of another newcomer would be an acquaintance's.
    const outer = outerAddress(this.#arrived);
    namespace.ip(`addr add ${outer}/32 dev vethn`, `route replace 10.99.2.2 dev vethn src ${outer}`);
    const name = `gtn${process.pid.toString(36)}-${this.#arrived}`;
    const text = newcomerConfig(newcomer, this.pair);
    const subject = await openSubject(this.#lab, { name, namespace, text, program: null });
    return {
      knock: (timeoutMs) => knock(namespace, newcomer.inner, this.pair.b.inner4, timeoutMs),
      close: () => subject.close(),
    };
  }

  /** The books of b. */
  async stats(): Promise<EndStats> {
    return readStats(JSON.parse(await this.b.ask('stats', '--json')));
  }

  /** What b has dropped, by reason. */
  async drops(): Promise<Readonly<Record<string, number>>> {
    return (await this.stats()).drops;
  }

  async close(): Promise<void> {
    await Promise.all([this.#a.close(), this.b.close()]);
    this.#lab.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #openUnread(): Promise<Running> {
    const command = [process.execPath, UNREAD_PROGRAM, String(UNREAD_PORT)];
    const unread = this.pair.b.namespace.start(command, { timeoutMs: Number.POSITIVE_INFINITY });
    await unread.waitForOutput(/ready/, START_MS);
    return unread;
  }
}

async function reportOf(program: Running): Promise<FloodReport> {
  const finished = await program.finished;
  if (finished.code !== 0) throw failure(finished);
  return JSON.parse(finished.stdout.split('\n')[1] ?? '') as FloodReport;
}

interface Places {
  readonly pair: Pair;
  readonly attacker: Namespace;
  readonly newcomersAt: Namespace;
  readonly newcomers: readonly Newcomer[];
  readonly recordedKey: string;
}

function plan(lab: Lab, count: number): Places {
  const pair = planPair(lab);
  const at = pair.b.namespace;
  const [attacker, newcomersAt] = [lab.addNamespace('attacker'), lab.addNamespace('newcomers')];
  lab.connect(attacker, at, { subnet: 1, device: 'vethx' });
  lab.connect(newcomersAt, at, { subnet: 2, device: 'vethn' });
  attacker.ip(`route add local ${SOURCES_PREFIX} dev lo`);
  deafen(attacker, 'vethx');
  at.ip(`route add ${SOURCES_PREFIX} via 10.99.1.1`, `route add ${NEWCOMERS_PREFIX} via 10.99.2.1`);
  const newcomers = Array.from({ length: count }, (_, number) => ({
    privateKey: formatKey(generatePrivateKey()),
    inner: `10.77.${1 + Math.floor(number / 250)}.${1 + (number % 250)}`,
  }));
  return { pair, attacker, newcomersAt, newcomers, recordedKey: formatKey(generatePrivateKey()) };
}

/** Who forges addresses hears no answer: it is dropped where it comes in, and costs this machine no more than a wire would. */
function deafen(attacker: Namespace, device: string): void {
  const chain = `add chain netdev deaf incoming { type filter hook ingress device "${device}" priority 0; }`;
  const rules = ['add table netdev deaf', chain, 'add rule netdev deaf incoming meta protocol ip drop'];
  attacker.runSync(['nft', '-f', '-'], `${rules.join('\n')}\n`);
}

/** Of the newcomer `number`, counted from 1. */
function outerAddress(number: number): string {
  return `10.97.${1 + Math.floor((number - 1) / 250)}.${1 + ((number - 1) % 250)}`;
}

/** The peers of b besides a. */
function sections({ newcomers, recordedKey }: Places): string {
  const known = newcomers.map(({ privateKey, inner }) => section(privateKey, inner));
  return ['', ...known, section(recordedKey, '10.77.255.1')].join('\n');
}

function section(privateKey: string, inner: string): string {
  const publicKey = formatKey(publicKeyOf(Buffer.from(privateKey, 'base64')));
  return `[Peer]\nPublicKey = ${publicKey}\nAllowedIPs = ${inner}/32\n`;
}

function newcomerConfig({ privateKey, inner }: Newcomer, { b }: Pair): string {
  const own = `[Interface]\nPrivateKey = ${privateKey}\nAddress = ${inner}/32\nMTU = 1420\n`;
  const peer = `[Peer]\nPublicKey = ${b.publicKey}\nAllowedIPs = ${b.inner4}/32\nEndpoint = 10.99.2.2:${b.listenPort}\n`;
  return `${own}\n${peer}`;
}

async function knock(namespace: Namespace, from: string, to: string, timeoutMs: number): Promise<number> {
  const startedMs = performance.now();
  const command = ['ping', '-n', '-i', '0.2', '-w', String(Math.ceil(timeoutMs / 1_000)), '-I', from, to];
  const ping = namespace.start(command, { timeoutMs: timeoutMs + START_MS });
  try {
    await ping.waitForOutput(/ time=/, timeoutMs);
    return performance.now() - startedMs;
  } catch {
    return Number.POSITIVE_INFINITY;
  } finally {
    await ping.stop();
  }
}

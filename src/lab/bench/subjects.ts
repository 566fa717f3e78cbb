/** What a bench compares: each subject is a pair of namespaces that are joined somehow, ready for load in both directions. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GigatunError } from '../../errors.ts';
import { openFloor } from '../floor-end.ts';
import { CLI, type GigatunEnd, openGigatun } from '../gigatun-end.ts';
import type { EndStats } from '../gigatun-stats.ts';
import type { Route } from '../iperf.ts';
import type { Lab } from '../namespaces.ts';
import { innerRoute, type Pair, planPair, reverseRoute, type TunnelEnd } from '../pair.ts';
import { waitForEcho } from '../ping.ts';
import { run } from '../process.ts';
import { openWireguardGo } from '../wireguard-go-end.ts';
import { isVariant, VARIANT_NAMES, VARIANTS, type VariantName } from './variants.ts';

export type SubjectName = 'veth' | 'veth-plain' | 'floor' | 'floor-aes' | 'floor-shared' | VariantName | 'wireguard-go';

export const SUBJECT_NAMES: readonly SubjectName[] = [
  'veth',
  'veth-plain',
  'floor',
  'floor-aes',
  'floor-shared',
  ...VARIANT_NAMES,
  'wireguard-go',
];

/** What a subject is, for readers of a report. */
export function titleOf(name: SubjectName): string {
  return isVariant(name) ? VARIANTS[name].title : OTHER_TITLES[name];
}

const OTHER_TITLES: Readonly<Record<Exclude<SubjectName, VariantName>, string>> = {
  veth: 'veth pair, no tunnel',
  'veth-plain': 'veth pair, no tunnel, offloads off',
  floor: 'floor (C, ChaCha20-Poly1305)',
  'floor-aes': 'floor (C, AES-256-GCM)',
  'floor-shared': 'floor of ../shared (C, ChaCha20-Poly1305)',
  'wireguard-go': 'wireguard-go',
};

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** The measuring rod that belongs to this repository. */
export const OWN_ROD: string = join(ROOT, 'bench/floor');
const SHARED_ROD = join(ROOT, '../shared/floor');
const ECHO_MS = 10_000;

/** A subject ready for load. */
export interface Subject {
  readonly name: SubjectName;
  readonly title: string;
  /** Version or origin of what runs, as it says itself. */
  readonly version: string;
  readonly route4: Route;
  /** null where IPv6 inside is not possible. */
  readonly route6: Route | null;
  /** Every direction and IP version that payload can take. */
  readonly routes: readonly Route[];
  /** Processes of both ends; empty without a tunnel. */
  readonly pids: readonly number[];
  /** Books of both ends, where the subject keeps some. */
  readonly stats: (() => Promise<EndStats[]>) | null;
  readonly log: () => string;
  readonly close: () => Promise<void>;
}

export interface SubjectOptions {
  /** Lanes of gigatun at each end. */
  readonly lanes: number;
}

/** Opens a subject in namespaces of its own; an echo has passed when it resolves. */
export async function openSubject(lab: Lab, name: SubjectName, options: SubjectOptions): Promise<Subject> {
  const subject = await open(lab, name, options);
  await waitForEcho(subject.route4, ECHO_MS);
  return subject;
}

function open(lab: Lab, name: SubjectName, { lanes }: SubjectOptions): Promise<Subject> {
  if (isVariant(name)) return openOwn(lab, name, lanes);
  switch (name) {
    case 'veth':
      return openVeth(lab, name, true);
    case 'veth-plain':
      return openVeth(lab, name, false);
    case 'floor':
      return openRod(lab, name, 'chacha20-poly1305');
    case 'floor-aes':
      return openRod(lab, name, 'aes-256-gcm');
    case 'floor-shared':
      return openRod(lab, name, 'chacha20-poly1305');
    case 'wireguard-go':
      return openGo(lab);
  }
}

async function openVeth(lab: Lab, name: SubjectName, offloads: boolean): Promise<Subject> {
  const [a, b] = lab.connect(lab.addNamespace(`${name}-a`), lab.addNamespace(`${name}-b`), { offloads });
  const there = (address: string): Route => ({ from: a.namespace, to: b.namespace, address });
  const back = (address: string): Route => ({ from: b.namespace, to: a.namespace, address });
  return {
    name,
    title: titleOf(name),
    version: 'kernel',
    route4: there(b.address4),
    route6: there(b.address6),
    routes: [there(b.address4), back(a.address4), there(b.address6), back(a.address6)],
    pids: [],
    stats: null,
    log: () => '',
    close: async () => {},
  };
}

async function openRod(lab: Lab, name: SubjectName, cipher: 'chacha20-poly1305' | 'aes-256-gcm'): Promise<Subject> {
  const shared = name === 'floor-shared';
  const program = await buildRod(lab, shared);
  const pair = planPair(lab);
  const [linkA, linkB] = pair.link;
  const ends = [
    await openFloor(pair.a, linkA.address4, { program, cipher }),
    await openFloor(pair.b, linkB.address4, { program, cipher }),
  ];
  const subject = tunnel(name, shared ? 'of ../shared' : 'of bench/floor', pair, ends);
  if (!shared) return subject;
  return { ...subject, route6: null, routes: [innerRoute(pair, 4), reverseRoute(pair, 4)] }; // IPv4 inside only
}

/** Builds the rod; the one outside the repository into the lab's directory. Returns the program's path. */
async function buildRod(lab: Lab, shared: boolean): Promise<string> {
  if (!shared) {
    await run(['make', '--silent', '-C', OWN_ROD, 'floor'], { timeoutMs: 60_000 });
    return join(OWN_ROD, 'floor');
  }
  const source = join(SHARED_ROD, 'floor.c');
  if (!existsSync(source)) throw new GigatunError('NOT_FOUND', `--rod shared: there is no ${source}`);
  const program = join(lab.directory, 'floor-shared');
  const flags = ['-std=gnu11', '-O3', '-march=native', '-o', program, source, '-lIPSec_MB'];
  await run(['cc', ...flags], { timeoutMs: 60_000 });
  return program;
}

async function openOwn(lab: Lab, name: VariantName, lanes: number): Promise<Subject> {
  const { bookTime = true, ...options } = VARIANTS[name];
  const pair = planPair(lab);
  const ends: GigatunEnd[] = [];
  for (const plan of [pair.a, pair.b]) ends.push(await openGigatun(lab, plan, { lanes, ...options }));
  const stats = (): Promise<EndStats[]> => Promise.all(ends.map((end) => end.stats()));
  const aead = (await stats())[0]?.aead ?? 'unknown';
  const { stdout } = await run([process.execPath, CLI, '--version']);
  const version = `${stdout.trim()}, ${lanes === 1 ? 'one lane' : `${lanes} lanes`}, AEAD ${aead}`;
  return { ...tunnel(name, version, pair, ends), stats: bookTime ? stats : null };
}

async function openGo(lab: Lab): Promise<Subject> {
  const { stdout } = await run(['wireguard-go', '--version']);
  const pair = planPair(lab);
  const ends = [await openWireguardGo(lab, pair.a), await openWireguardGo(lab, pair.b)];
  return tunnel('wireguard-go', stdout.split('\n')[0] ?? '', pair, ends);
}

function tunnel(name: SubjectName, version: string, pair: Pair, ends: readonly TunnelEnd[]): Subject {
  return {
    name,
    title: titleOf(name),
    version,
    route4: innerRoute(pair, 4),
    route6: innerRoute(pair, 6),
    routes: [innerRoute(pair, 4), reverseRoute(pair, 4), innerRoute(pair, 6), reverseRoute(pair, 6)],
    pids: ends.map((end) => end.pid),
    stats: null,
    log: () => ends.map((end) => `${end.plan.device}: ${end.log().trim()}`).join('\n'),
    close: async () => void (await Promise.all(ends.map((end) => end.close()))),
  };
}

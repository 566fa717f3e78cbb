/**
 * The storm: many peers reconnect at once to a gigatun that is kept on one core, all its threads together. The peers run
 * in another process, on another core where there is one, each at an address of its own.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatKey, generatePrivateKey, publicKeyOf } from '../../control/key-text.ts';
import { Lab, type Namespace } from '../namespaces.ts';
import { failure, type Running } from '../process.ts';
import { percentile } from '../statistics.ts';
import { crowdSections, hostOf } from './crowd.ts';
import type { ScaleOptions } from './options.ts';
import type { StormJob, StormReport } from './storm-peers.ts';
import { openSubject, pinned } from './subject.ts';

const PEERS_PROGRAM = fileURLToPath(new URL('./storm-peers.js', import.meta.url));
const PORT = 51820;
const INNER = '10.0.0.1';
const SECONDS_MAX = 15;
const PREPARE_MS = 60_000;
const DEVICE_CORE = 0;

export interface StormFigure {
  readonly peers: number;
  readonly handshakes: number;
  /** Times from the first initiation on: median, and until the last peer had its response. */
  readonly responseP50Ms: number;
  readonly responseLastMs: number;
  /** Until the last peer had an echo back through its tunnel. */
  readonly settledMs: number;
  /** Peers without a response, or without an echo, when the run ended. */
  readonly starved: number;
  readonly cookies: number;
  readonly repetitions: number;
  /** Of the device, from the first initiation to the end of the run. */
  readonly cpuSeconds: number;
}

/** One storm on a fresh device. */
export async function measureStorm(options: ScaleOptions): Promise<StormFigure> {
  const lab = new Lab();
  try {
    return await storm(lab, options);
  } finally {
    lab.close();
  }
}

async function storm(lab: Lab, { peers, prefixes, handshakes, program }: ScaleOptions): Promise<StormFigure> {
  const [near, far] = lab.connect(lab.addNamespace('device'), lab.addNamespace('peers'));
  near.namespace.ip(`route add 10.98.0.0/16 via ${far.address4}`);
  far.namespace.ip('route add local 10.98.0.0/16 dev lo');
  const privateKey = generatePrivateKey();
  const keys = Array.from({ length: handshakes }, generatePrivateKey);
  const crowd = crowdSections({ peers, prefixes, keys: keys.map((key) => formatKey(publicKeyOf(key))) });
  const head = `[Interface]\nPrivateKey = ${formatKey(privateKey)}\nListenPort = ${PORT}\nAddress = ${INNER}/32\nMTU = 1420\n\n`;
  const name = `gts${process.pid}`;
  const device = { name, namespace: near.namespace, text: head + crowd, program, core: DEVICE_CORE };
  const job: StormJob = {
    publicKey: formatKey(publicKeyOf(privateKey)),
    address: near.address4,
    port: PORT,
    inner: INNER,
    peers: keys.map((key, at) => ({ privateKey: formatKey(key), address: outerOf(at), inner: hostOf(at) })),
    secondsMax: SECONDS_MAX,
  };
  const subject = await openSubject(lab, device);
  const started = await startPeers(lab, far.namespace, job);
  const before = subject.usage().cpuSeconds;
  const { handshakeMs, echoMs, cookies, repetitions } = await runPeers(started);
  const cpuSeconds = subject.usage().cpuSeconds - before;
  await subject.close();
  return {
    peers,
    handshakes,
    responseP50Ms: percentile(handshakeMs, 0.5),
    responseLastMs: Math.max(...handshakeMs),
    settledMs: Math.max(...echoMs),
    starved: handshakes - Math.min(handshakeMs.length, echoMs.length),
    cookies,
    repetitions,
    cpuSeconds,
  };
}

/** Outer addresses: 10.98.0.1 and up. */
function outerOf(peer: number): string {
  return `10.98.${(peer + 1) >>> 8}.${(peer + 1) & 0xff}`;
}

/** Starts the peers' program and waits until they all could begin. */
async function startPeers(lab: Lab, namespace: Namespace, job: StormJob): Promise<Running> {
  const file = join(lab.directory, 'storm.json');
  writeFileSync(file, JSON.stringify(job), { mode: 0o600 });
  const core = cpus().length > 1 ? 1 : DEVICE_CORE;
  const command = [...pinned(core), process.execPath, PEERS_PROGRAM, file];
  const peers = namespace.start(command, { timeoutMs: PREPARE_MS + (SECONDS_MAX + 5) * 1_000 });
  await peers.waitForOutput(/^ready$/m, PREPARE_MS);
  return peers;
}

async function runPeers(peers: Running): Promise<StormReport> {
  peers.signal('SIGUSR2');
  const finished = await peers.finished;
  if (finished.code !== 0) throw failure(finished);
  return JSON.parse(finished.stdout.split('\n')[1] ?? '');
}

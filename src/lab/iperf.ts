/** Bulk loads by iperf3 between two namespaces, as typed figures. Every run ends by itself, or is ended soon after its time. */
import { readFileSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import type { Namespace } from './namespaces.ts';
import type { Running } from './process.ts';

const PORT = 5201;
const READY_MS = 5_000;
/** What a run may take beyond its seconds: connecting, slow starts, the exchange of results. */
const SLACK_MS = 10_000;

export interface Route {
  readonly from: Namespace;
  readonly to: Namespace;
  /** Address of `to`, IPv4 or IPv6. */
  readonly address: string;
}

export interface TcpLoad {
  readonly seconds: number;
  /** Of the run's beginning, not counted; it takes so much longer. Default 0. */
  readonly omitSeconds?: number;
  /** Parallel streams; default 1. */
  readonly streams?: number;
  /** `to` sends and `from` receives; default false. */
  readonly reverse?: boolean;
  /** Congestion control of the sender; default cubic where the kernel has it. */
  readonly congestion?: string;
}

export interface TcpResult {
  /** Payload that arrived, bytes. */
  readonly bytes: number;
  readonly seconds: number;
  readonly gigabitsPerSecond: number;
  readonly retransmits: number;
  readonly streams: number;
  readonly congestion: string;
}

export interface UdpLoad {
  readonly seconds: number;
  /** UDP payload of each packet, bytes, 16 to 65,507. */
  readonly length: number;
  /** Offered load; 0, the default, is as fast as the sender can. */
  readonly megabitsPerSecond?: number;
}

export interface UdpResult {
  readonly sentPackets: number;
  /** Counted by the receiver. */
  readonly deliveredPackets: number;
  readonly seconds: number;
  readonly deliveredPerSecond: number;
  readonly length: number;
}

/** Moves TCP payload for a while. Throws GigatunError SYSTEM with iperf3's words when it fails. */
export async function runTcp(route: Route, load: TcpLoad): Promise<TcpResult> {
  const congestion = load.congestion ?? defaultCongestion();
  const options = ['-P', String(load.streams ?? 1)];
  if (load.omitSeconds !== undefined) options.push('-O', String(load.omitSeconds));
  if (load.reverse === true) options.push('-R');
  if (congestion !== null) options.push('-C', congestion);
  return parseTcp(await runIperf(route, load.seconds, options, load.omitSeconds));
}

/** Floods UDP packets for a while and counts what arrives. Throws as `runTcp` does. */
export async function runUdp(route: Route, load: UdpLoad): Promise<UdpResult> {
  const rate = load.megabitsPerSecond === undefined ? '0' : `${load.megabitsPerSecond}M`;
  const report = await runIperf(route, load.seconds, ['-u', '-b', rate, '-l', String(load.length)]);
  return parseUdp(report, load.length);
}

async function runIperf(route: Route, seconds: number, options: readonly string[], omitSeconds = 0): Promise<unknown> {
  const timeoutMs = (seconds + omitSeconds) * 1_000 + SLACK_MS;
  const server = await startServer(route.to, timeoutMs + READY_MS);
  try {
    const command = [
      'iperf3',
      '-c',
      route.address,
      '-p',
      String(PORT),
      '-t',
      String(seconds),
      '--connect-timeout',
      '3000',
      '-J',
    ];
    const client = await route.from.run([...command, ...options], { timeoutMs, mayFail: true });
    if (client.timedOut)
      throw new GigatunError('SYSTEM', `iperf3 did not end within ${timeoutMs} ms: ${client.command}`);
    return parseReport(client.stdout, client.stderr);
  } finally {
    await server.stop();
  }
}

async function startServer(namespace: Namespace, timeoutMs: number): Promise<Running> {
  const server = namespace.start(['iperf3', '-s', '-1', '-p', String(PORT), '--forceflush'], { timeoutMs });
  await server.waitForOutput(/Server listening/, READY_MS);
  return server;
}

/** The JSON of `iperf3 -J`. Throws GigatunError SYSTEM with iperf3's own words when it reports an error or no JSON at all. */
export function parseReport(stdout: string, stderr = ''): unknown {
  let report: unknown;
  try {
    report = JSON.parse(stdout);
  } catch (cause) {
    throw new GigatunError('SYSTEM', `iperf3 gave no report: ${stderr.trim() || stdout.slice(0, 200)}`, { cause });
  }
  const error = at(report, 'error');
  if (typeof error === 'string') throw new GigatunError('SYSTEM', `iperf3: ${error}`);
  return report;
}

export function parseTcp(report: unknown): TcpResult {
  const received = at(report, 'end', 'sum_received');
  const bytes = numberAt(received, 'bytes');
  const seconds = numberAt(received, 'seconds');
  return {
    bytes,
    seconds,
    gigabitsPerSecond: (bytes * 8) / seconds / 1e9,
    retransmits: numberAt(report, 'end', 'sum_sent', 'retransmits'),
    streams: numberAt(report, 'start', 'test_start', 'num_streams'),
    congestion: String(at(report, 'end', 'sender_tcp_congestion') ?? 'unknown'),
  };
}

/** `length` is the payload of each packet: the receiver reports bytes. */
export function parseUdp(report: unknown, length: number): UdpResult {
  const received = at(report, 'end', 'sum_received');
  const seconds = numberAt(received, 'seconds');
  const deliveredPackets = Math.round(numberAt(received, 'bytes') / length);
  return {
    sentPackets: numberAt(report, 'end', 'sum_sent', 'packets'),
    deliveredPackets,
    seconds,
    deliveredPerSecond: deliveredPackets / seconds,
    length,
  };
}

/** What lies at a path of a JSON value, or undefined. */
export function at(value: unknown, ...path: string[]): unknown {
  let here = value;
  for (const key of path) {
    if (typeof here !== 'object' || here === null) return undefined;
    here = (here as Record<string, unknown>)[key];
  }
  return here;
}

function numberAt(value: unknown, ...path: string[]): number {
  const found = at(value, ...path);
  if (typeof found === 'number') return found;
  throw new GigatunError('SYSTEM', `the report of iperf3 has no number at ${path.join('.')}`);
}

/** Cubic, so that figures of machines with other defaults compare; null (the kernel's default) where it is missing. */
export function defaultCongestion(): string | null {
  const available = readFileSync('/proc/sys/net/ipv4/tcp_available_congestion_control', 'utf8');
  return available.trim().split(/\s+/).includes('cubic') ? 'cubic' : null;
}

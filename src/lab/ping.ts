/** Round-trip times between two namespaces, by ping. */
import { GigatunError } from '../errors.ts';
import type { Route } from './iperf.ts';
import { percentile } from './statistics.ts';

export interface PingResult {
  readonly sent: number;
  readonly received: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly leastMs: number;
  readonly mostMs: number;
}

/** Sends one echo request each 10 ms for `seconds`. Throws GigatunError SYSTEM when nothing came back. */
export async function ping(route: Route, seconds: number): Promise<PingResult> {
  const count = Math.round(seconds * 100);
  const command = ['ping', '-n', '-i', '0.01', '-c', String(count), '-W', '2', route.address];
  const { stdout } = await route.from.run(command, { timeoutMs: seconds * 1_000 + 10_000, mayFail: true });
  return parsePing(stdout);
}

/** Reads what ping (iputils or busybox) prints. */
export function parsePing(text: string): PingResult {
  const times = [...text.matchAll(/ time=([\d.]+) ms/g)].map((match) => Number(match[1]));
  const sent = Number(/(\d+) packets transmitted/.exec(text)?.[1] ?? times.length);
  if (times.length === 0) throw new GigatunError('SYSTEM', `no echo came back: ${text.trim()}`);
  return {
    sent,
    received: times.length,
    p50Ms: percentile(times, 0.5),
    p99Ms: percentile(times, 0.99),
    leastMs: Math.min(...times),
    mostMs: Math.max(...times),
  };
}

/** Waits until one echo comes back. Throws GigatunError SYSTEM when none does in time. */
export async function waitForEcho(route: Route, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (performance.now() < deadline) {
    const once = await route.from.run(['ping', '-n', '-c', '1', '-W', '1', route.address], { mayFail: true });
    if (once.code === 0) return;
    if (once.code !== 1) throw new GigatunError('SYSTEM', `ping failed: ${once.stderr.trim()}`);
  }
  throw new GigatunError('SYSTEM', `no echo from ${route.address} within ${timeoutMs} ms`);
}

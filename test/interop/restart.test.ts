/**
 * One end restarts, properly (SIGTERM) or as in a power cut (SIGKILL): traffic through the tunnel goes on.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2      five tunnels like this at once
 *
 * `a` sends all the time; `b` restarts and has nothing to send. What WireGuard's timers imply: `b` no longer knows the
 * keypair that `a` goes on with, and stays silent. `a` starts a new handshake when it has heard nothing for
 * KEEPALIVE_TIMEOUT + REKEY_TIMEOUT (10 s + 5 s, and up to 1/3 s of jitter) since the first packet without an answer. A
 * receiver with nothing to say answers only each KEEPALIVE_TIMEOUT, so that first packet may be up to 10 s older than the
 * restart: traffic rests for 5 to 15.4 s. An end that itself has something to send starts a handshake with its first
 * packet, so then it is a matter of milliseconds.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { innerRoute, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { transfer } from '../../src/lab/transfer.ts';
import { type End, type EndOptions, openEnd, openTunnel, type Tunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { Stream } from '../support/tunnel-traffic.ts';

const PACKETS_PER_SECOND = 50;
/** 15.333 s, and some for a busy machine. */
const SILENCE_MS_MAX = 17_000;
/** Handshake and first packet, on a busy machine. */
const SPEAKER_MS_MAX = 3_000;

type Program = NonNullable<EndOptions['program']>;
interface Case {
  readonly a: Program;
  readonly b: Program;
  readonly signal: 'SIGTERM' | 'SIGKILL';
}
/** Five, which is as many as vitest runs at once. */
const CASES: readonly Case[] = [
  { a: 'gigatun', b: 'gigatun', signal: 'SIGTERM' },
  { a: 'gigatun', b: 'gigatun', signal: 'SIGKILL' },
  { a: 'gigatun', b: 'wireguard-go', signal: 'SIGKILL' },
  { a: 'wireguard-go', b: 'gigatun', signal: 'SIGTERM' },
  { a: 'wireguard-go', b: 'gigatun', signal: 'SIGKILL' },
];

tunnelSuite('an end that restarts', ['ping', 'wg', 'wireguard-go'], () => {
  const tunnels = new Map<Case, Tunnel>();
  const restarted: End[] = [];
  beforeAll(async () => {
    await Promise.all(
      CASES.map(async (each) => {
        tunnels.set(each, await openTunnel({}, { program: each.a }, { program: each.b }));
      }),
    );
  }, 60_000);
  afterAll(async () => {
    await Promise.all(restarted.map((end) => end.end('SIGTERM')));
    await Promise.all([...tunnels.values()].map((tunnel) => tunnel.close()));
  });

  it.concurrent.for(CASES)('$b after $signal hears $a again within what the timers allow', async (each) => {
    const tunnel = tunnels.get(each);
    if (tunnel === undefined) throw new Error('no tunnel');
    const route = innerRoute(tunnel.pair, 4);
    await waitForEcho(route, 10_000);
    const stream = await Stream.start(route, { packetsPerSecond: PACKETS_PER_SECOND, lengths: [8, 1_372] });
    await stream.arrivals(PACKETS_PER_SECOND, 10_000);
    await restart(tunnel, each);
    await stream.arrivals(PACKETS_PER_SECOND, SILENCE_MS_MAX + 5_000);
    const outcome = await stream.finish(true);
    const { silenceMsMax } = outcome;
    console.log(`${each.a} to ${each.b}, restarted by ${each.signal}: resumed after ${Math.round(silenceMsMax)} ms`);
    expect(silenceMsMax).toBeLessThan(SILENCE_MS_MAX);
    expect(outcome).toMatchObject({ repeated: 0, corrupted: 0 });
    expect(outcome.lost).toBeLessThan((SILENCE_MS_MAX / 1_000) * PACKETS_PER_SECOND);
    expect(await transfer(route, 1_000_000, 'after the silence')).toMatchObject({ intact: true });

    // Now the restarted end has something to send.
    await restart(tunnel, each);
    await waitForEcho(reverseRoute(tunnel.pair, 4), SPEAKER_MS_MAX);
    expect(await transfer(route, 1_000_000, 'after it spoke')).toMatchObject({ intact: true });
  });

  async function restart({ lab, pair, b }: Tunnel, each: Case): Promise<void> {
    const present = restarted.find(({ plan }) => plan === pair.b) ?? b;
    const { code, signal } = await present.end(each.signal);
    if (each.signal === 'SIGKILL') expect(signal).toBe('SIGKILL');
    else expect(code).toBe(0);
    expect(pair.b.namespace.runSync(['ip', '-o', 'link'])).not.toContain(pair.b.device);
    restarted.unshift(await openEnd(lab, pair.b, { program: each.b }));
  }
});

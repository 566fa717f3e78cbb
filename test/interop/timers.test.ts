/**
 * The protocol's timers in real time, with wireguard-go at the other end, as a capture on the link between them sees them
 * (paper, section 6). All tests run side by side.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2
 *
 * No datagram may come too soon. A late one is a busy machine's.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import type { LinkEnd } from '../../src/lab/namespaces.ts';
import { innerRoute, type Pair, reverseRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { type CapturedMessage, OuterCapture } from '../support/outer-capture.ts';
import { openTunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const NEEDS = ['nft', 'ping', 'tcpdump', 'wg', 'wireguard-go'] as const;
const { KEEPALIVE_TIMEOUT_MS, REKEY_TIMEOUT_MS, REKEY_TIMEOUT_JITTER_MS_MAX } = WIREGUARD_TIMING;
/** Captured times are of the moments on the link, some way from those at the ends' clocks. */
const BLUR_MS = 100;
const LATE_MS = 3_000;
const A = '10.99.0.1';
const B = '10.99.0.2';

tunnelSuite('in real time', NEEDS, () => {
  it.concurrent('gigatun answers data with a keepalive after 10 s, once, and asks for no handshake', async () => {
    await using tunnel = await openTunnel({}, { program: 'wireguard-go' }, {});
    const { pair } = tunnel;
    await waitForEcho(innerRoute(pair, 4), 5_000);
    // Both have spoken: what they owe each other is paid, or will be before the data comes that is meant.
    await delay(KEEPALIVE_TIMEOUT_MS + 1_500);
    await using capture = await OuterCapture.start(pair.link[1]);
    makeMute(pair);
    await sendOne(pair);
    const [data] = await capture.waitFor('data', A, 1, 2_000);
    const [keepalive] = await capture.waitFor('keepalive', B, 1, KEEPALIVE_TIMEOUT_MS + LATE_MS);
    expectPause(data, keepalive, KEEPALIVE_TIMEOUT_MS, 0);
    // wireguard-go would ask for a new handshake 15 s after its data.
    await delay(REKEY_TIMEOUT_MS + 1_000);
    expect(capture.sent('keepalive', B)).toHaveLength(1);
    expect(capture.sent('initiation', A)).toEqual([]);
    expect(capture.sent('initiation', B)).toEqual([]);
  });

  it.concurrent('wireguard-go answers data of gigatun with a keepalive, which gigatun does not answer', async () => {
    await using tunnel = await openTunnel({}, {}, { program: 'wireguard-go' });
    const { pair } = tunnel;
    await waitForEcho(innerRoute(pair, 4), 5_000);
    await delay(KEEPALIVE_TIMEOUT_MS + 1_500);
    await using capture = await OuterCapture.start(pair.link[1]);
    makeMute(pair);
    await sendOne(pair);
    await capture.waitFor('keepalive', B, 1, KEEPALIVE_TIMEOUT_MS + LATE_MS);
    // Neither the keepalive that a keepalive would be answered by, nor the handshake after silence.
    await delay(KEEPALIVE_TIMEOUT_MS + 1_000);
    expect(capture.sent('keepalive', A)).toEqual([]);
    expect(capture.sent('initiation', A)).toEqual([]);
  });

  it.concurrent('an initiation without an answer goes out again after 5 s and jitter, with data or without', async () => {
    await using tunnel = await openTunnel({}, {}, { program: 'wireguard-go' });
    const { pair } = tunnel;
    silence(pair.link[1]);
    await using capture = await OuterCapture.start(pair.link[0]);
    await sendOne(pair);
    const initiations = await capture.waitFor('initiation', A, 4, 3 * (REKEY_TIMEOUT_MS + LATE_MS));
    for (const [index, initiation] of initiations.slice(1).entries())
      expectPause(initiations[index], initiation, REKEY_TIMEOUT_MS, REKEY_TIMEOUT_JITTER_MS_MAX);
    expect(capture.sent('data', A)).toEqual([]);
  });

  it.concurrent('data without an answer is followed by an initiation after 15 s and jitter', async () => {
    await using tunnel = await openTunnel({}, {}, { program: 'wireguard-go' });
    const { pair } = tunnel;
    await waitForEcho(innerRoute(pair, 4), 5_000);
    await using capture = await OuterCapture.start(pair.link[0]);
    silence(pair.link[1]);
    await sendOne(pair);
    const [data] = await capture.waitFor('data', A, 1, 2_000);
    // More data does not put it off.
    await delay(REKEY_TIMEOUT_MS);
    await sendOne(pair);
    const timeoutMs = KEEPALIVE_TIMEOUT_MS + REKEY_TIMEOUT_MS;
    const [initiation] = await capture.waitFor('initiation', A, 1, timeoutMs + LATE_MS);
    expectPause(data, initiation, timeoutMs, REKEY_TIMEOUT_JITTER_MS_MAX);
  });

  it.concurrent('a persistent keepalive goes out each interval, and waits anew when anything flows', async () => {
    const intervalMs = 4_000;
    await using tunnel = await openTunnel({}, { edit: withKeepalive(4) }, { program: 'wireguard-go' });
    const { pair } = tunnel;
    await using capture = await OuterCapture.start(pair.link[0]);
    // The first initiation may come before b is there.
    await waitForEcho(innerRoute(pair, 4), 12_000);
    // tcpdump tells in order: when it has told of data, it has told of all handshakes that came before.
    await capture.waitFor('data', A, 1, LATE_MS);
    const initiations = capture.sent('initiation', A).length;
    expectQuietBefore(capture, await nextKeepalive(capture, intervalMs), intervalMs);
    // Data the other way counts as well.
    await delay(intervalMs / 2);
    await waitForEcho(reverseRoute(pair, 4), 5_000);
    expectQuietBefore(capture, await nextKeepalive(capture, intervalMs), intervalMs);
    expect(capture.sent('initiation', A)).toHaveLength(initiations);
  });
});

function withKeepalive(seconds: number): (config: string) => string {
  return (config) => `${config}PersistentKeepalive = ${seconds}\n`;
}

/** b's host drops what comes out of its tunnel: nothing answers it. */
function makeMute({ b }: Pair): void {
  dropAt(b.namespace.runSync.bind(b.namespace), 'input', `iifname "${b.device}"`);
}

/** Nothing of the tunnel leaves this end of the link any more. */
function silence({ namespace, device }: LinkEnd): void {
  dropAt(namespace.runSync.bind(namespace), 'output', `oifname "${device}" udp sport 51820`);
}

function dropAt(runSync: (command: readonly string[], input: string) => string, hook: string, match: string): void {
  const lines = [
    'add table inet mute',
    `add chain inet mute ${hook} { type filter hook ${hook} priority 0; }`,
    `add rule inet mute ${hook} ${match} drop`,
  ];
  runSync(['nft', '-f', '-'], `${lines.join('\n')}\n`);
}

/** One packet from a to b, to which nothing answers. */
async function sendOne({ a, b }: Pair): Promise<void> {
  await a.namespace.run(['ping', '-n', '-c', '1', '-W', '0.1', b.inner4], { mayFail: true });
}

/** The second message came no sooner than `leastMs` after the first, and not much later than `jitterMs` after that. */
function expectPause(
  first: CapturedMessage | undefined,
  second: CapturedMessage | undefined,
  leastMs: number,
  jitterMs: number,
): void {
  const pauseMs = (second?.atMs ?? Number.NaN) - (first?.atMs ?? Number.NaN);
  expect(pauseMs).toBeGreaterThanOrEqual(leastMs - BLUR_MS);
  expect(pauseMs).toBeLessThanOrEqual(leastMs + jitterMs + LATE_MS);
}

/** a's next keepalive. */
async function nextKeepalive(capture: OuterCapture, intervalMs: number): Promise<CapturedMessage | undefined> {
  const seen = capture.sent('keepalive', A).length;
  return (await capture.waitFor('keepalive', A, seen + 1, intervalMs + LATE_MS))[seen];
}

/** Nothing went either way for an interval before a persistent keepalive. */
function expectQuietBefore(capture: OuterCapture, keepalive: CapturedMessage | undefined, intervalMs: number): void {
  const before = capture.messages().filter(({ atMs }) => atMs < (keepalive?.atMs ?? 0));
  expectPause(before.at(-1), keepalive, intervalMs, 0);
}

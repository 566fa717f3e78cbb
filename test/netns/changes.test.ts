/**
 * What an admin changes while packets flow: keys, peers, ports, the interface itself.
 *
 *     [ in1: 10.88.0.1 fd88::1 TUN ]--a :1--( lo )--b :2--[ TUN 10.88.0.2 fd88::2 :in2 ]
 *
 * and, for what a program must see of its interface itself, with both in one namespace:
 *
 *     a: 10.88.0.1 fd88::1 TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN 10.88.0.2 fd88::2 :b
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { NetnsEnd } from '../support/netns-end.ts';
import {
  allowedIps,
  type Classic,
  inner,
  type Linked,
  netnsSuite,
  openClassic,
  openLinked,
} from '../support/netns-site.ts';
import { echoes, eventually, expectEcho, expectEndpoint } from '../support/netns-traffic.ts';
import { Stream } from '../support/tunnel-traffic.ts';

const LOAD = { packetsPerSecond: 200, lengths: [8, 1_372] } as const;
/** Shorter than any handshake retry: the change itself must bring the next handshake. */
const ONE_TRY = { waitSeconds: 1 } as const;
const PATIENCE_MS = 20_000;

netnsSuite('a running tunnel', [], (pairing) => {
  let classic: Classic;
  beforeAll(async () => {
    classic = await openClassic(pairing);
    await expectEcho(classic.a.namespace, inner(2, 4));
  });
  afterAll(async () => await classic?.site.close());

  /** Lets packets flow both ways, makes a change, and waits until they flow again. None may come twice or wrong. */
  async function underTraffic(change: () => Promise<void>): Promise<void> {
    const { a, b } = classic;
    const routes = [
      { from: a.namespace, to: b.namespace, address: inner(2, 4) },
      { from: b.namespace, to: a.namespace, address: inner(1, 6) },
    ];
    const streams = await Promise.all(routes.map((route) => Stream.start(route, LOAD)));
    await Promise.all(streams.map((stream) => stream.arrivals(50, PATIENCE_MS)));
    await change();
    await delay(300);
    await Promise.all(streams.map((stream) => stream.arrivals(100, PATIENCE_MS)));
    for (const outcome of await Promise.all(streams.map((stream) => stream.finish(true)))) {
      expect(outcome).toMatchObject({ repeated: 0, corrupted: 0 });
    }
  }

  /** Makes `end` know its peer under its present key, and not under `formerKey`. */
  async function meetAgain(end: NetnsEnd, peer: NetnsEnd, host: number, formerKey?: string): Promise<void> {
    if (formerKey !== undefined) await end.set('peer', formerKey, 'remove');
    await end.setPeer(peer, 'allowed-ips', allowedIps(host), 'endpoint', `127.0.0.1:${host}`);
  }

  it('goes on through a change of the listen port', async () => {
    const { a, b } = classic;
    await underTraffic(async () => {
      await a.set('listen-port', '11');
      await delay(300);
      await a.set('listen-port', '1');
    });
    await expectEndpoint(b, a, '127.0.0.1:1');
  });

  it('goes on when a peer is removed and added again', async () => {
    const { a, b } = classic;
    await underTraffic(async () => {
      await a.setPeer(b, 'remove');
      expect(await a.show('peers')).toEqual([]);
      await delay(300);
      await meetAgain(a, b, 2);
    });
    expect((await a.show('peers')).length).toBe(1);
  });

  it('says nothing to a peer that was removed', async () => {
    const { a, b } = classic;
    await a.setPeer(b, 'remove');
    expect(await echoes(b.namespace, inner(1, 4), ONE_TRY)).toBe(0);
    expect(await echoes(a.namespace, inner(2, 4), ONE_TRY)).toBe(0);
    await meetAgain(a, b, 2);
    await expectEcho(a.namespace, inner(2, 4));
  });

  it('takes a new private key, and then only those who know it can reach it', async () => {
    const { a, b } = classic;
    const former = a.publicKey;
    await underTraffic(async () => {
      await a.set('private-key', a.newKey());
      expect(await a.show('public-key')).toEqual([[a.publicKey]]);
      await delay(300);
      await meetAgain(b, a, 1, former);
      await meetAgain(a, b, 2);
    });
    await a.set('private-key', a.newKey());
    await a.setPeer(b, 'remove');
    await meetAgain(a, b, 2);
    expect(await echoes(a.namespace, inner(2, 4), ONE_TRY)).toBe(0);
    const [known] = (await b.show('peers'))[0] ?? [];
    await meetAgain(b, a, 1, known);
    await expectEcho(a.namespace, inner(2, 4));
  });

  it('needs the preshared key at both ends, and goes on without when neither has one', async () => {
    const { a, b } = classic;
    const key = a.write('psk', `${Buffer.alloc(32, 7).toString('base64')}\n`);
    const afresh = async (): Promise<void> => {
      await a.setPeer(b, 'remove');
      await meetAgain(a, b, 2);
    };
    await b.setPeer(a, 'preshared-key', key);
    await afresh();
    expect(await echoes(a.namespace, inner(2, 4), ONE_TRY)).toBe(0);
    await a.setPeer(b, 'preshared-key', key);
    await expectEcho(a.namespace, inner(2, 4));
    expect((await a.showPeer(b, 'preshared-keys'))[0]).toBe((await b.showPeer(a, 'preshared-keys'))[0]);
    await b.setPeer(a, 'preshared-key', '/dev/null');
    await afresh();
    await expectEcho(a.namespace, inner(2, 4));
    expect(await a.showPeer(b, 'preshared-keys')).toEqual(['(none)']);
  });

  it('goes on when its interface goes down and up under traffic', async () => {
    const { a } = classic;
    await underTraffic(async () => {
      a.namespace.ip(`link set dev ${a.name} down`);
      await delay(200);
      a.namespace.ip(`link set dev ${a.name} up`, `addr replace ${inner(1, 6)}/64 dev ${a.name} nodad`);
    });
  });

  it('sends persistent keepalives from when the interval is set until it is off', async () => {
    const { a, b } = classic;
    const [before] = [await b.transferOf(a)];
    await a.setPeer(b, 'persistent-keepalive', '1');
    expect(await a.showPeer(b, 'persistent-keepalive')).toEqual(['1']);
    await eventually('three keepalives', async () => (await b.transferOf(a)).received >= before.received + 3 * 32);
    await a.setPeer(b, 'persistent-keepalive', '65535');
    expect(await a.showPeer(b, 'persistent-keepalive')).toEqual(['65535']);
    await a.setPeer(b, 'persistent-keepalive', 'off');
    expect(await a.showPeer(b, 'persistent-keepalive')).toEqual(['off']);
    await delay(1_500);
    const silent = await b.transferOf(a);
    await delay(2_500);
    expect((await b.transferOf(a)).received).toBe(silent.received);
  });
});

netnsSuite('an interface beside its program', [], (pairing) => {
  let linked: Linked;
  beforeAll(async () => {
    linked = await openLinked(pairing);
    await expectEcho(linked.a.namespace, inner(2, 4));
  });
  afterAll(async () => await linked?.site.close());

  it('is silent while it is down, and comes back with a handshake of its own', async () => {
    const { a, b, link } = linked;
    await b.setPeer(a, 'endpoint', `${link[0].address4}:51820`);
    for (const [end, peer, host] of [
      [a, b, 1],
      [b, a, 2],
    ] as const) {
      const before = Number((await end.showPeer(peer, 'latest-handshakes'))[0]);
      end.namespace.ip(`link set dev ${end.name} down`);
      expect(await echoes(peer.namespace, inner(host, 4), { waitSeconds: 1 })).toBe(0);
      await eventually('another second', () => Date.now() / 1_000 > before + 1);
      end.namespace.ip(`link set dev ${end.name} up`, `addr replace ${inner(host, 6)}/64 dev ${end.name} nodad`);
      await expectEcho(end.namespace, inner(3 - host, 4));
      await expectEcho(peer.namespace, inner(host, 6));
      // wireguard-go may go on with its session if it was down for so short a time.
      if (end.implementation === 'gigatun')
        expect(Number((await end.showPeer(peer, 'latest-handshakes'))[0])).toBeGreaterThan(before);
    }
  });
});

/**
 * Two lanes and several peers: each peer's datagrams come in at the lane that the kernel chose for it, and what goes to it
 * leaves from both, out of one sending counter and into one replay window.
 *
 *                                   .--[10.99.1.2]--TUN-- peer 1: 10.77.0.11
 *     hub (2 lanes): 10.77.0.1 --TUN, 2 queues--[10.99.2.2]--TUN-- peer 2: 10.77.0.12
 *                                   `--[10.99.3.2]--TUN-- peer 3: 10.77.0.13
 */
import { expect, it } from 'vitest';
import { formatKey, generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import type { Route } from '../../src/lab/iperf.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import type { EndPlan } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import type { CounterName } from '../../src/ledger/catalog.ts';
import { type GigatunEnd, openGigatun } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { type Load, sendDatagrams } from '../support/tunnel-traffic.ts';

const PEERS = [1, 2, 3] as const;
const LOAD: Load = { flows: 8, packets: 300, packetsPerSecond: 600, lengths: [8, 1_372] };
const PORT = 51_820;

tunnelSuite('two lanes with three peers', ['ping'], () => {
  it('keep the order of each flow of each peer, in both directions at once', async () => {
    const lab = new Lab();
    const ends: GigatunEnd[] = [];
    try {
      const { hub, spokes, edit } = planStar(lab);
      ends.push(await openGigatun(lab, hub, { lanes: 2, edit }));
      for (const spoke of spokes) ends.push(await openGigatun(lab, spoke));
      const routes = spokes.flatMap((spoke) => [routeBetween(spoke, hub), routeBetween(hub, spoke)]);
      for (const route of routes) await waitForEcho(route, 5_000);
      const outcomes = await Promise.all(routes.map((route) => sendDatagrams(route, LOAD)));
      const report = JSON.stringify({ outcomes, drops: await Promise.all(ends.map((end) => end.drops())) });
      for (const outcome of outcomes)
        expect(outcome, report).toMatchObject({ lost: 0, refused: 0, repeated: 0, corrupted: 0, reordered: 0 });
      await expectBothLanes(ends[0]);
    } finally {
      await Promise.all(ends.map((end) => end.end('SIGTERM')));
      lab.close();
    }
  });
});

/** Both lanes sent; together they sealed each counter once, and every datagram that came in was new. */
async function expectBothLanes(hub: GigatunEnd | undefined): Promise<void> {
  const { lanes = [], total } = (await hub?.snapshot()) ?? {};
  const counts = (name: CounterName): number[] =>
    lanes.filter((lane) => lane.name.startsWith('lane ')).map((lane) => lane.counts[name]);
  expect(counts('TUN_RX')).toHaveLength(2);
  for (const packets of counts('TUN_RX')) expect(packets).toBeGreaterThan(PEERS.length);
  for (const datagrams of counts('UDP_TX_UNIQ')) expect(datagrams).toBeGreaterThan(PEERS.length);
  expect(total?.drops).toMatchObject({ IN_REPLAY: 0, IN_BAD_TAG: 0, IN_UNKNOWN_INDEX: 0 });
}

interface Star {
  readonly hub: EndPlan;
  readonly spokes: readonly EndPlan[];
  /** Gives the hub's file its other peers. */
  readonly edit: (config: string) => string;
}

function planStar(lab: Lab): Star {
  const center = lab.addNamespace('hub');
  const name = `gs${process.pid.toString(36)}`;
  const hubKey = generatePrivateKey();
  const hubSide = { publicKey: formatKey(publicKeyOf(hubKey)), ...innerOf(1), persistentKeepaliveSeconds: 0 };
  const spokes = PEERS.map((peer): EndPlan => {
    const options = { subnet: peer, device: `veth${peer}` };
    const [near, far] = lab.connect(center, lab.addNamespace(`spoke${peer}`), options);
    const endpoint = `${near.address4}:${PORT}`;
    return planOf(far.namespace, `${name}-${peer}`, generatePrivateKey(), 10 + peer, { ...hubSide, endpoint });
  });
  const sections = PEERS.map((peer, index) => sectionOf(spokes[index], `10.99.${peer}.2:${PORT}`));
  const hub = planOf(center, `${name}-h`, hubKey, 1, { ...hubSide, endpoint: '10.99.1.2:1' });
  return { hub, spokes, edit: (config) => config.replace(/\[Peer\][\s\S]*/, sections.join('')) };
}

function planOf(
  namespace: EndPlan['namespace'],
  device: string,
  privateKey: Uint8Array,
  host: number,
  peer: EndPlan['peer'],
): EndPlan {
  const keys = { privateKey: formatKey(privateKey), publicKey: formatKey(publicKeyOf(privateKey)), presharedKey: null };
  return { namespace, device, ...keys, listenPort: PORT, mtu: 1_420, ...innerOf(host), peer };
}

function innerOf(host: number): { inner4: string; inner6: string } {
  return { inner4: `10.77.0.${host}`, inner6: `fd77::${host}` };
}

function sectionOf(spoke: EndPlan | undefined, endpoint: string): string {
  if (spoke === undefined) throw new Error('no such spoke');
  const allowed = `AllowedIPs = ${spoke.inner4}/32, ${spoke.inner6}/128`;
  return `[Peer]\nPublicKey = ${spoke.publicKey}\n${allowed}\nEndpoint = ${endpoint}\n`;
}

function routeBetween(from: EndPlan, to: EndPlan): Route {
  return { from: from.namespace, to: to.namespace, address: to.inner4 };
}

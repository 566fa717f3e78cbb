/**
 * A crowd: both ends have two thousand peers that nobody ever hears of, and speak through the one that stands last in the file.
 *
 *     a (2,001 peers): 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b (2,001 peers): 10.77.0.2
 */
import { expect, it } from 'vitest';
import { innerRoute } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { crowdSections, hostOf } from '../../src/lab/scale/crowd.ts';
import { transfer } from '../../src/lab/transfer.ts';
import { type EndOptions, expectGigatun, openTunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const PEERS = 2_000;
const PREFIXES = 6_000;
const FILE_BYTES = 16 * 1024 * 1024;
const CROWDED: EndOptions = {
  lanes: 2,
  edit: (config) => config.replace('[Peer]', `${crowdSections({ peers: PEERS, prefixes: PREFIXES })}\n[Peer]`),
};

tunnelSuite('among two thousand peers', ['ping'], () => {
  it('the last one has its tunnel, and the others cost neither packets nor handshakes', async () => {
    await using tunnel = await openTunnel({}, CROWDED, CROWDED);
    const a = expectGigatun(tunnel.a);
    await waitForEcho(innerRoute(tunnel.pair, 4), 5_000);
    await waitForEcho(innerRoute(tunnel.pair, 6), 5_000);
    const file = await transfer(innerRoute(tunnel.pair, 4), FILE_BYTES, 'among many');
    expect(file).toMatchObject({ bytes: FILE_BYTES, corruptedBytes: 0, intact: true });
    const { peers } = await a.status();
    expect(peers).toHaveLength(PEERS + 1);
    expect(peers.filter(({ latestHandshakeMs }) => latestHandshakeMs > 0)).toEqual([peers[PEERS]]);
    expect(peers[PEERS - 1]?.allowedIps).toContain(`${hostOf(PEERS - 1)}/32`);
  });

  it('a packet to a peer without an endpoint finds that peer, and is staged for it', async () => {
    await using tunnel = await openTunnel({}, CROWDED);
    const a = expectGigatun(tunnel.a);
    await tunnel.pair.a.namespace.run(['ping', '-c', '1', '-W', '1', hostOf(PEERS - 1)], { mayFail: true });
    const { total } = await a.snapshot();
    expect(total.counts.STAGED).toBeGreaterThan(0);
  });
});

/**
 * Two links between the same ends, one of which has both as paths, `near` by its address and `far` by its interface; what is
 * seen of them at that end, and how they are cut.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth  ==[10.99.0.2]--TUN-- b: 10.77.0.2
 *                         [10.99.1.1]== veth1 ==[10.99.1.2]
 */
import { join } from 'node:path';
import { ControlClient } from '../../src/control/control-client.ts';
import { readStatus } from '../../src/control/status-reader.ts';
import { type GigatunEnd, type GigatunOptions, openGigatun } from '../../src/lab/gigatun-end.ts';
import { innerRoute, type Pair, planPair, type TunnelEnd } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { openWireguardGo } from '../../src/lab/wireguard-go-end.ts';
import { eventually } from './netns-traffic.ts';
import { openScene, type Scene } from './tunnel-scene.ts';

const READY_MS = 20_000;
/** A path to a stock peer is tried again after 10 s, and after ever more. */
const PATIENCE_MS = 75_000;
const PATHS = [
  'Path = near endpoint=10.99.0.2:51820 local=10.99.0.1',
  'Path = far endpoint=10.99.1.2:51820 local=veth1',
] as const;

export interface TwoPaths extends Scene {
  readonly pair: Pair;
  readonly a: GigatunEnd;
  readonly b: TunnelEnd;
}

export interface TwoPathsPlan {
  readonly peer: 'gigatun' | 'wireguard-go';
  readonly mode: 'failover' | 'redundant' | 'lowest-latency';
  /** What a is asked for besides its paths. */
  readonly a?: GigatunOptions;
  readonly b?: GigatunOptions;
}

/** Brings both ends up, and waits for the first echo through the tunnel. */
export async function openTwoPaths({ peer, mode, a = {}, b = {} }: TwoPathsPlan): Promise<TwoPaths> {
  return await openScene<Omit<TwoPaths, keyof Scene>>(async (lab, onClose) => {
    const pair = planPair(lab, {});
    lab.connect(pair.a.namespace, pair.b.namespace, { subnet: 1, device: 'veth1' });
    const far = peer === 'gigatun' ? await openGigatun(lab, pair.b, b) : await openWireguardGo(lab, pair.b);
    onClose(() => far.close());
    const peerSettings = [...PATHS, `PathMode = ${mode}`, ...(a.peerSettings ?? [])];
    const near = await openGigatun(lab, pair.a, { ...a, peerSettings });
    onClose(() => near.close());
    await waitForEcho(innerRoute(pair, 4), READY_MS);
    return { pair, a: near, b: far };
  });
}

/** Drops what comes over a link, or takes it again; both ends. Nobody is told. */
export function setCut({ pair }: TwoPaths, device: 'veth' | 'veth1', isCut: boolean): void {
  for (const { namespace } of [pair.a, pair.b]) {
    const rules = [
      'add table netdev cut',
      'delete table netdev cut',
      'add table netdev cut',
      `add chain netdev cut in { type filter hook ingress device ${device} priority 0; }`,
      ...(isCut ? ['add rule netdev cut in drop'] : []),
    ];
    namespace.runSync(['nft', '-f', '-'], `${rules.join('\n')}\n`);
  }
}

/** Waits until a shows all of these, each `NAME STATE USE`. */
export async function expectPaths(site: TwoPaths, ...expected: string[]): Promise<void> {
  let seen: string[] = [];
  await eventually(
    `paths ${expected.join(', ')}`,
    async () => {
      seen = await pathsOf(site);
      return expected.every((path) => seen.includes(path));
    },
    PATIENCE_MS,
  ).catch((error: unknown) => {
    throw new Error(`paths are ${seen.join(', ')}\n${site.a.log()}`, { cause: error });
  });
}

async function pathsOf({ lab, a }: TwoPaths): Promise<string[]> {
  const client = await ControlClient.connect(join(lab.directory, `run-${a.plan.device}`), a.plan.device);
  try {
    const { peers } = readStatus(await client.call('status'));
    return peers.flatMap(
      ({ history }) => history?.paths.map(({ name, state, use }) => `${name} ${state} ${use}`) ?? [],
    );
  } finally {
    client.close();
  }
}

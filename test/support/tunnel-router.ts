/**
 * A tunnel whose way leads over a router, which may write what it likes into the headers of what it forwards:
 *
 *     a --TUN--[10.99.1.1 fd99:1::1]== left ==[10.99.1.2  router  10.99.2.1]== right ==[10.99.2.2 fd99:2::2]--TUN-- b
 *
 * a speaks first.
 */
import type { LinkEnd, Namespace } from '../../src/lab/namespaces.ts';
import { type PairOptions, planPair } from '../../src/lab/pair.ts';
import { type EndOptions, openEnds, type Tunnel } from './tunnel-end.ts';
import { openScene } from './tunnel-scene.ts';

export interface RoutedTunnel extends Tunnel {
  readonly router: Namespace;
  /** The ends of both links, from left to right. */
  readonly links: readonly [LinkEnd, LinkEnd, LinkEnd, LinkEnd];
}

export interface RouteOptions extends PairOptions {
  /** As in LinkOptions, for both links of the way. */
  readonly offloads?: boolean;
}

export async function openThroughRouter(
  options: RouteOptions = {},
  aOptions: EndOptions = {},
  bOptions: EndOptions = {},
): Promise<RoutedTunnel> {
  return await openScene(async (lab, onClose) => {
    const { outer = 4, offloads = true } = options;
    const pair = planPair(lab, options);
    const router = lab.addNamespace('r');
    const left = lab.connect(pair.a.namespace, router, { subnet: 1, device: 'left', offloads });
    const right = lab.connect(router, pair.b.namespace, { subnet: 2, device: 'right', offloads });
    router.runSync(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1']);
    pair.a.namespace.ip(
      `route add 10.99.2.0/24 via ${left[1].address4}`,
      `route add fd99:2::/64 via ${left[1].address6}`,
    );
    pair.b.namespace.ip(
      `route add 10.99.1.0/24 via ${right[0].address4}`,
      `route add fd99:1::/64 via ${right[0].address6}`,
    );
    const address = outer === 4 ? right[1].address4 : `[${right[1].address6}]`;
    const first = { ...aOptions, endpoint: `${address}:${pair.b.listenPort}` };
    const ends = await openEnds(lab, pair, first, { ...bOptions, knowsEndpoint: false }, onClose);
    return { pair, ...ends, router, links: [...left, ...right] as const };
  });
}

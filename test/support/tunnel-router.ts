/**
 * A tunnel whose way leads over a router, which may write what it likes into the headers of what it forwards:
 *
 *     a --TUN--[10.99.1.1 fd99:1::1]== left ==[10.99.1.2  router  10.99.2.1]== right ==[10.99.2.2 fd99:2::2]--TUN-- b
 *
 * a speaks first.
 */
import { Lab, type LinkEnd, type Namespace } from '../../src/lab/namespaces.ts';
import { type Pair, type PairOptions, planPair } from '../../src/lab/pair.ts';
import { type End, type EndOptions, openEnd } from './tunnel-end.ts';

export interface RoutedTunnel extends AsyncDisposable {
  readonly lab: Lab;
  readonly pair: Pair;
  readonly a: End;
  readonly b: End;
  readonly router: Namespace;
  /** The ends of both links, from left to right. */
  readonly links: readonly [LinkEnd, LinkEnd, LinkEnd, LinkEnd];
  close(): Promise<void>;
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
  const lab = new Lab();
  const ends: End[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(ends.splice(0).map((end) => end.end('SIGTERM')));
    lab.close();
  };
  try {
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
    const a = await openEnd(lab, pair.a, { ...aOptions, endpoint: `${address}:${pair.b.listenPort}` });
    ends.push(a);
    const b = await openEnd(lab, pair.b, { ...bOptions, knowsEndpoint: false });
    ends.push(b);
    return { lab, pair, a, b, router, links: [...left, ...right], close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

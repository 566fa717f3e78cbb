/**
 * Where the namespace suite plays: the pairings of implementations, and the sites (namespaces, links, ends) that its tests
 * open. Inner addresses are 10.88.0.H and fd88::H, H = 1 for a, 2 for b, 3 for c.
 */
import { describe } from 'vitest';
import { Lab, type LinkEnd, type LinkOptions, type Namespace } from '../../src/lab/namespaces.ts';
import { type Implementation, NetnsEnd, type NetnsEndOptions } from './netns-end.ts';
import { tunnelSuite } from './tunnel-needs.ts';

export interface Pairing {
  readonly a: Implementation;
  readonly b: Implementation;
}

/** GIGATUN_NETNS_PAIRINGS='wireguard-go:wireguard-go' tries the suite itself, without gigatun. */
export const PAIRINGS: readonly Pairing[] = (
  process.env.GIGATUN_NETNS_PAIRINGS ?? 'gigatun:gigatun,gigatun:wireguard-go,wireguard-go:gigatun'
)
  .split(',')
  .map((pairing) => {
    const [a, b] = pairing.split(':') as [Implementation, Implementation];
    return { a, b };
  });

const DEFAULT_MTU = 1420;
const PROGRAMS = ['ping', 'wg', 'wireguard-go'] as const;

/** A suite whose body is called for each pairing. Pairings run side by side, the tests of one in their order. */
export function netnsSuite(title: string, needs: readonly string[], body: (pairing: Pairing) => void): void {
  tunnelSuite(title, [...PROGRAMS, ...needs], () => {
    describe.for(PAIRINGS)('$a and $b', { concurrent: true }, (pairing) => {
      describe.sequential('in one site', () => body(pairing));
    });
  });
}

/** A suite for what concerns one end alone: its body is called for each implementation. */
export function endSuite(
  title: string,
  needs: readonly string[],
  body: (implementation: Implementation) => void,
): void {
  const implementations = [...new Set(PAIRINGS.map(({ a }) => a))];
  tunnelSuite(title, [...PROGRAMS, ...needs], () => {
    describe.for(implementations)('%s', { concurrent: true }, (implementation) => {
      describe.sequential('in one site', () => body(implementation));
    });
  });
}

/** Namespaces and the ends in them; all goes when it is closed. */
export class Site implements AsyncDisposable {
  readonly lab: Lab = new Lab();
  readonly #ends: NetnsEnd[] = [];

  namespace(label: string): Namespace {
    return this.lab.addNamespace(label);
  }

  connect(a: Namespace, b: Namespace, options: LinkOptions): [LinkEnd, LinkEnd] {
    return this.lab.connect(a, b, options);
  }

  async open(implementation: Implementation, birth: Namespace, options: NetnsEndOptions = {}): Promise<NetnsEnd> {
    const end = await NetnsEnd.open(this.lab, implementation, birth, options);
    this.#ends.push(end);
    return end;
  }

  /** Twice is fine. */
  async close(): Promise<void> {
    await Promise.all(this.#ends.splice(0).map((end) => end.close()));
    this.lab.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

/** Calls `make` with a site that is closed again if that fails. */
export async function buildSite<T>(make: (site: Site) => Promise<T>): Promise<T> {
  const site = new Site();
  try {
    return await make(site);
  } catch (error) {
    await site.close();
    throw error;
  }
}

export interface TwoEnds {
  readonly site: Site;
  readonly a: NetnsEnd;
  readonly b: NetnsEnd;
}

export interface Classic extends TwoEnds {
  readonly birth: Namespace;
}

/**
 * Both programs and their sockets in one namespace, the interfaces each in one of their own:
 *
 *     [ inside a: 10.88.0.1 fd88::1 TUN ]--socket :1--( lo of birth )--socket :2--[ TUN 10.88.0.2 fd88::2 : inside b ]
 */
export async function openClassic(pairing: Pairing): Promise<Classic> {
  return await buildSite(async (site) => {
    const birth = site.namespace('birth');
    const a = await site.open(pairing.a, birth, { listenPort: 1 });
    const b = await site.open(pairing.b, birth, { listenPort: 2 });
    for (const [host, end] of [a, b].entries()) {
      end.moveTo(site.namespace(`in${host + 1}`));
      up(end, host + 1);
    }
    await introduce(a, 1, b, 2);
    await a.setPeer(b, 'endpoint', '127.0.0.1:2');
    await b.setPeer(a, 'endpoint', '127.0.0.1:1');
    return { site, birth, a, b };
  });
}

export interface Linked extends TwoEnds {
  readonly link: readonly [LinkEnd, LinkEnd];
}

/**
 * Programs and interfaces side by side in two namespaces that a veth pair joins. Only a knows the other's endpoint:
 *
 *     a: 10.88.0.1 fd88::1 TUN--[10.99.0.1 fd99:0::1]== veth ==[10.99.0.2 fd99:0::2]--TUN 10.88.0.2 fd88::2 :b
 */
export async function openLinked(pairing: Pairing, options: LinkOptions = {}): Promise<Linked> {
  return await buildSite(async (site) => {
    const link = site.connect(site.namespace('a'), site.namespace('b'), options);
    const a = await site.open(pairing.a, link[0].namespace);
    const b = await site.open(pairing.b, link[1].namespace);
    up(a, 1);
    up(b, 2);
    await introduce(a, 1, b, 2);
    await a.setPeer(b, 'endpoint', endpoint(link[1].address4, b.listenPort));
    return { site, link, a, b };
  });
}

/** Brings an end up under the plan's addresses of `host`. */
export function up(end: NetnsEnd, host: number, mtu: number = DEFAULT_MTU): void {
  end.up(mtu, `10.88.0.${host}/24`, `fd88::${host}/64`);
}

/** Each gets the other as a peer, with its addresses as allowed IPs; neither knows where the other is. */
export async function introduce(a: NetnsEnd, hostOfA: number, b: NetnsEnd, hostOfB: number): Promise<void> {
  await a.setPeer(b, 'allowed-ips', allowedIps(hostOfB));
  await b.setPeer(a, 'allowed-ips', allowedIps(hostOfA));
}

export function allowedIps(host: number): string {
  return `10.88.0.${host}/32,fd88::${host}/128`;
}

/** Inner address of a host, by IP version. */
export function inner(host: number, version: 4 | 6): string {
  return version === 4 ? `10.88.0.${host}` : `fd88::${host}`;
}

/** `ADDRESS:PORT`, IPv6 in brackets. */
export function endpoint(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

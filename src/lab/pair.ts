/**
 * Two namespaces, a veth pair between them, and the plan of a tunnel over it: keys, ports, inner and outer addresses of both
 * ends. Any program that speaks WireGuard can then take either end: gigatun-end.ts, wireguard-go-end.ts.
 *
 *     a: 10.77.0.1, fd77::1 --TUN--[10.99.S.1 fd99:S::1]== veth ==[10.99.S.2 fd99:S::2]--TUN-- b: 10.77.0.2, fd77::2
 */
import { formatKey, generatePresharedKey, generatePrivateKey, publicKeyOf } from '../control/key-text.ts';
import type { Route } from './iperf.ts';
import type { Lab, LinkEnd, LinkOptions, Namespace } from './namespaces.ts';

const PORT = 51820;
/** Interface names of the tunnels are unique on the machine, since some programs make sockets of that name. */
let pairsPlanned = 0;

export interface PairOptions extends LinkOptions {
  /** IP version outside. Default 4. */
  readonly outer?: 4 | 6;
  /** MTU inside. Default 1420. */
  readonly innerMtu?: number;
  /** Mix in a preshared key. Default false. */
  readonly preshared?: boolean;
  /** Default 0: off. */
  readonly persistentKeepaliveSeconds?: number;
  /** Names of the TUN interfaces, at most 15 characters. Default: unique on this machine. */
  readonly devices?: readonly [string, string];
}

/** One end as its configuration says it. Keys are base64. */
export interface EndPlan {
  readonly namespace: Namespace;
  /** Name of the TUN interface. */
  readonly device: string;
  readonly privateKey: string;
  readonly publicKey: string;
  readonly presharedKey: string | null;
  readonly listenPort: number;
  readonly mtu: number;
  readonly inner4: string;
  readonly inner6: string;
  readonly peer: {
    readonly publicKey: string;
    /** `ADDRESS:PORT`, IPv6 in brackets; empty: the end learns it from the other. */
    readonly endpoint: string;
    readonly inner4: string;
    readonly inner6: string;
    readonly persistentKeepaliveSeconds: number;
  };
}

export interface Pair {
  readonly link: readonly [LinkEnd, LinkEnd];
  readonly a: EndPlan;
  readonly b: EndPlan;
}

/** Something that runs one end of a tunnel. */
export interface TunnelEnd {
  readonly plan: EndPlan;
  readonly pid: number;
  /** What the program said so far. */
  log(): string;
  close(): Promise<void>;
}

/** Makes both namespaces and the link in a lab, and plans the tunnel. Namespaces of a second pair need another `subnet`. */
export function planPair(lab: Lab, options: PairOptions = {}): Pair {
  pairsPlanned += 1;
  const labels = [`${pairsPlanned}a`, `${pairsPlanned}b`] as const;
  const link = lab.connect(lab.addNamespace(labels[0]), lab.addNamespace(labels[1]), options);
  const presharedKey = options.preshared === true ? formatKey(generatePresharedKey()) : null;
  const [a, b] = [side(link[0], 1, options), side(link[1], 2, options)];
  const unique = `gt${process.pid.toString(36)}-${pairsPlanned}`;
  const devices = options.devices ?? [`${unique}a`, `${unique}b`];
  const plan = (own: Side, other: Side, device: string): EndPlan => ({
    namespace: own.namespace,
    device,
    privateKey: own.privateKey,
    publicKey: own.publicKey,
    presharedKey,
    listenPort: PORT,
    mtu: options.innerMtu ?? 1420,
    inner4: own.inner4,
    inner6: own.inner6,
    peer: { ...other, persistentKeepaliveSeconds: options.persistentKeepaliveSeconds ?? 0 },
  });
  return { link, a: plan(a, b, devices[0]), b: plan(b, a, devices[1]) };
}

interface Side {
  readonly namespace: Namespace;
  readonly privateKey: string;
  readonly publicKey: string;
  readonly endpoint: string;
  readonly inner4: string;
  readonly inner6: string;
}

function side(end: LinkEnd, host: number, { outer = 4 }: PairOptions): Side {
  const privateKey = generatePrivateKey();
  return {
    namespace: end.namespace,
    privateKey: formatKey(privateKey),
    publicKey: formatKey(publicKeyOf(privateKey)),
    endpoint: outer === 4 ? `${end.address4}:${PORT}` : `[${end.address6}]:${PORT}`,
    inner4: `10.77.0.${host}`,
    inner6: `fd77::${host}`,
  };
}

/** The way of packets through the tunnel, from end `a` to end `b`, by inner IP version. */
export function innerRoute(pair: Pair, version: 4 | 6): Route {
  return { from: pair.a.namespace, to: pair.b.namespace, address: version === 4 ? pair.b.inner4 : pair.b.inner6 };
}

/** The same in the other direction. */
export function reverseRoute(pair: Pair, version: 4 | 6): Route {
  return { from: pair.b.namespace, to: pair.a.namespace, address: version === 4 ? pair.a.inner4 : pair.a.inner6 };
}

/** The part of a configuration that `wg setconf` reads. */
export function wireguardConfig(plan: EndPlan): string {
  const { peer } = plan;
  return [
    '[Interface]',
    `PrivateKey = ${plan.privateKey}`,
    `ListenPort = ${plan.listenPort}`,
    '',
    '[Peer]',
    `PublicKey = ${peer.publicKey}`,
    ...(plan.presharedKey === null ? [] : [`PresharedKey = ${plan.presharedKey}`]),
    `AllowedIPs = ${peer.inner4}/32, ${peer.inner6}/128`,
    ...(peer.endpoint === '' ? [] : [`Endpoint = ${peer.endpoint}`]),
    ...(peer.persistentKeepaliveSeconds === 0 ? [] : [`PersistentKeepalive = ${peer.persistentKeepaliveSeconds}`]),
    '',
  ].join('\n');
}

/** The whole of a wg-quick file. */
export function quickConfig(plan: EndPlan): string {
  const addresses = `Address = ${plan.inner4}/24, ${plan.inner6}/64\nMTU = ${plan.mtu}`;
  return wireguardConfig(plan).replace('[Interface]', `[Interface]\n${addresses}`);
}

/** Gives a TUN interface its MTU and inner addresses, and brings it up. */
export function configureDevice(plan: EndPlan): void {
  plan.namespace.ip(
    `addr add ${plan.inner4}/24 dev ${plan.device}`,
    `addr add ${plan.inner6}/64 dev ${plan.device} nodad`,
    `link set ${plan.device} mtu ${plan.mtu} up`,
  );
}

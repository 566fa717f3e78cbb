/** What the names in a path's configuration mean on this machine at the moment: interface indices and local addresses. */
import { readFileSync } from 'node:fs';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { parseAddress } from '../control/ip-text.ts';
import { endpointOf } from '../endpoint-text.ts';
import type { Endpoint } from '../packet/endpoint.ts';
import type { ResolvedPath } from './path-slot.ts';
import type { PathSettings } from './path-types.ts';

/** This machine's interfaces that are up and have a carrier, with their addresses. */
export interface LocalAddresses {
  /** Addresses of an interface, 4 or 16 bytes each; none if it is not there, or is down. */
  addressesOf(name: string): readonly Uint8Array[];
  has(address: Uint8Array): boolean;
  /** 0 for an interface that is not there. */
  indexOf(name: string): number;
}

/** As the system has them now. */
export function readLocalAddresses(): LocalAddresses {
  const byName = new Map<string, Uint8Array[]>();
  for (const [name, infos = []] of Object.entries(networkInterfaces())) byName.set(name, infos.flatMap(bytesOf));
  const addressesOf = (name: string): readonly Uint8Array[] => byName.get(name) ?? [];
  const has = (address: Uint8Array): boolean =>
    [...byName.values()].some((addresses) => addresses.some((one) => Buffer.compare(one, address) === 0));
  return { addressesOf, has, indexOf: (name) => (byName.has(name) ? readIndex(name) : 0) };
}

/** What a path is now; `peer`: where the peer is, for a path without an endpoint of its own. */
export function resolvePath(settings: PathSettings, peer: Endpoint | null, local: LocalAddresses): ResolvedPath {
  const { name, localAddress: wantedText, localInterface, isBackup, weight } = settings;
  const remote = settings.endpoint === null ? peer : endpointOrNull(settings.endpoint);
  const wanted = wantedText === null ? null : parseAddress(wantedText.split('%')[0] ?? '');
  const isBound = localInterface !== null;
  const index = localInterface === null ? 0 : local.indexOf(localInterface);
  const own = localInterface === null ? null : local.addressesOf(localInterface);
  const localAddress = wanted ?? (remote === null || own === null ? null : sourceFor(remote, own));
  const hasAddress = localAddress === null ? !isBound : local.has(localAddress);
  const isFitting = remote === null || fits(remote, localAddress);
  const isPresent = isFitting && hasAddress && (!isBound || (index > 0 && own !== null && own.length > 0));
  const endpoint = remote && isFitting ? { ...remote, localAddress, localInterface: index } : null;
  return { name, endpoint, isBound, isPresent, isBackup, weight };
}

/** An address to send from to `remote`: of its family, and link-local if that is. */
function sourceFor({ family, address }: Endpoint, own: readonly Uint8Array[]): Uint8Array | null {
  const length = family === 4 ? 4 : 16;
  const fitting = own.filter((one) => one.length === length);
  return fitting.find((one) => isLinkLocal(one) === isLinkLocal(address)) ?? fitting[0] ?? null;
}

function fits({ address }: Endpoint, localAddress: Uint8Array | null): boolean {
  return localAddress === null || localAddress.length === address.length;
}

/** An endpoint in the zone of an interface that is not there is none for now. */
function endpointOrNull(numeric: NonNullable<PathSettings['endpoint']>): Endpoint | null {
  try {
    return endpointOf(numeric);
  } catch {
    return null;
  }
}

function bytesOf({ address }: NetworkInterfaceInfo): Uint8Array[] {
  const bytes = parseAddress(address.split('%')[0] ?? '');
  return bytes === null ? [] : [bytes];
}

/** fe80::/10 (RFC 4291, section 2.5.6). */
function isLinkLocal(address: Uint8Array): boolean {
  return address.length === 16 && address[0] === 0xfe && ((address[1] ?? 0) & 0xc0) === 0x80;
}

function readIndex(name: string): number {
  try {
    return Number(readFileSync(`/sys/class/net/${name}/ifindex`, 'utf8'));
  } catch {
    return 0;
  }
}

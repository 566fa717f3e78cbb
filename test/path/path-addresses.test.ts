/** What the names of a path's configuration mean on a machine that is made up. */
import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../src/control/ip-text.ts';
import type { Endpoint } from '../../src/packet/endpoint.ts';
import { type LocalAddresses, resolvePath } from '../../src/path/path-addresses.ts';
import type { ResolvedPath } from '../../src/path/path-slot.ts';
import type { PathSettings } from '../../src/path/path-types.ts';

const ETH0 = ['192.0.2.1', 'fe80::1', '2001:db8::1'];
const PATH: PathSettings = {
  ...{ name: 'dsl', localAddress: null, localInterface: null, endpoint: null, weight: 1, isBackup: false },
};

function bytesOf(text: string): Uint8Array {
  return parseAddress(text) ?? new Uint8Array(0);
}

/** A machine with one interface, eth0, which has these addresses. */
function machine(texts: readonly string[]): LocalAddresses {
  const addresses = texts.map(bytesOf);
  const isThere = (name: string): boolean => name === 'eth0' && texts.length > 0;
  return {
    addressesOf: (name) => (isThere(name) ? addresses : []),
    has: (address) => addresses.some((one) => Buffer.compare(one, address) === 0),
    indexOf: (name) => (isThere(name) ? 7 : 0),
  };
}

function peerAt(text: string): Endpoint {
  const address = bytesOf(text);
  const family = address.length === 4 ? 4 : 6;
  return { family, address, port: 51_820, scope: 0, localAddress: null, localInterface: 0 };
}

function resolve(part: Partial<PathSettings>, peer: Endpoint | null, texts: readonly string[] = ETH0): ResolvedPath {
  return resolvePath({ ...PATH, ...part }, peer, machine(texts));
}

describe('a path', () => {
  it('of which nothing is said leads to the peer by route', () => {
    const peer = peerAt('198.51.100.1');
    expect(resolve({}, peer)).toMatchObject({ endpoint: peer, isBound: false, isPresent: true });
    expect(resolve({}, null)).toMatchObject({ endpoint: null, isPresent: true });
  });

  it('by an address is there while the address is', () => {
    const peer = peerAt('198.51.100.1');
    const local = { localAddress: '192.0.2.1' };
    expect(resolve(local, peer)).toMatchObject({ endpoint: { localAddress: bytesOf('192.0.2.1') }, isPresent: true });
    expect(resolve(local, peer, ['192.0.2.2'])).toMatchObject({ isPresent: false });
  });

  it('by an interface is sent from an address of it that fits the endpoint', () => {
    const local = { localInterface: 'eth0' };
    const sources = ['198.51.100.1', '2001:db8:9::1', 'fe80::9'].map(
      (peer) => resolve(local, peerAt(peer)).endpoint?.localAddress,
    );
    expect(sources).toEqual(['192.0.2.1', '2001:db8::1', 'fe80::1'].map(bytesOf));
    expect(resolve(local, peerAt('198.51.100.1'))).toMatchObject({ isBound: true, endpoint: { localInterface: 7 } });
  });

  it('by an interface is not there without it, or without an address that fits', () => {
    const local = { localInterface: 'eth0' };
    expect(resolve(local, peerAt('198.51.100.1'), [])).toMatchObject({ isPresent: false });
    expect(resolve(local, peerAt('198.51.100.1'), ['2001:db8::1'])).toMatchObject({ isPresent: false });
    expect(resolve({ localInterface: 'wwan0' }, peerAt('198.51.100.1'))).toMatchObject({ isPresent: false });
  });

  it('by an address of another IP version than the peer cannot be used, and is said not to be there', () => {
    const local = { localAddress: '2001:db8::1' };
    expect(resolve(local, peerAt('198.51.100.1'))).toMatchObject({ endpoint: null, isPresent: false });
    expect(resolve(local, null)).toMatchObject({ endpoint: null, isPresent: true });
  });
});

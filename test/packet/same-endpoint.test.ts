/** When two endpoints are one. */
import { expect, it } from 'vitest';
import { type Endpoint, isSameEndpoint } from '../../src/packet/endpoint.ts';

const ENDPOINT: Endpoint = {
  family: 4,
  address: Uint8Array.of(192, 0, 2, 1),
  port: 51_820,
  scope: 0,
  localAddress: Uint8Array.of(192, 0, 2, 9),
  localInterface: 3,
};

it('endpoints are the same only if they agree in everything', () => {
  expect(isSameEndpoint(ENDPOINT, { ...ENDPOINT, address: Uint8Array.from(ENDPOINT.address) })).toBe(true);
  expect(isSameEndpoint(null, null)).toBe(true);
  const others: (Endpoint | null)[] = [
    null,
    { ...ENDPOINT, port: 1 },
    { ...ENDPOINT, scope: 1 },
    { ...ENDPOINT, localInterface: 4 },
    { ...ENDPOINT, localAddress: null },
    { ...ENDPOINT, address: Uint8Array.of(192, 0, 2, 2) },
    { ...ENDPOINT, family: 6, address: new Uint8Array(16) },
  ];
  for (const other of others) {
    expect(isSameEndpoint(ENDPOINT, other)).toBe(false);
    expect(isSameEndpoint(other, ENDPOINT)).toBe(false);
  }
});

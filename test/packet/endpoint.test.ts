/** Endpoints between their two forms: a value, and an ENDPOINT record in the arena. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ENDPOINT } from '../../src/native/layout.ts';
import { type Endpoint, readEndpoint, writeEndpoint } from '../../src/packet/endpoint.ts';

const RECORD_BYTES = ENDPOINT.WORDS * 4;
const SURROUNDING = 8;

const endpoints: fc.Arbitrary<Endpoint> = fc.constantFrom<4 | 6>(4, 6).chain((family) => {
  const length = family === 4 ? 4 : 16;
  const address = fc.uint8Array({ minLength: length, maxLength: length });
  const local = fc.option(address.filter((bytes) => bytes.some((byte) => byte !== 0)));
  const index = fc.nat(2 ** 31 - 1);
  return fc.record({
    family: fc.constant(family),
    address,
    port: fc.integer({ min: 1, max: 65_535 }),
    scope: family === 6 ? index : fc.constant(0),
    localAddress: local,
    localInterface: index,
  });
});

describe('an endpoint', () => {
  it('comes back from its record as it was', () => {
    fc.assert(
      fc.property(endpoints, (endpoint) => {
        const arena = surroundedRecord();
        writeEndpoint(arena, SURROUNDING, endpoint);
        expect(readEndpoint(arena, SURROUNDING)).toEqual(endpoint);
      }),
    );
  });

  it('is written within its record, over all that stood there', () => {
    fc.assert(
      fc.property(endpoints, endpoints, (before, after) => {
        const fresh = surroundedRecord();
        writeEndpoint(fresh, SURROUNDING, after);
        const used = surroundedRecord();
        writeEndpoint(used, SURROUNDING, before);
        writeEndpoint(used, SURROUNDING, after);
        expect([...used]).toEqual([...fresh]);
        expect([...used.slice(0, SURROUNDING), ...used.slice(SURROUNDING + RECORD_BYTES)]).toEqual(
          new Array(2 * SURROUNDING).fill(0xaa),
        );
      }),
      { numRuns: 50 },
    );
  });

  it('is copied when it is read, so that it does not change with the arena', () => {
    const arena = new Uint8Array(RECORD_BYTES);
    const address = Uint8Array.of(198, 51, 100, 7);
    writeEndpoint(arena, 0, { family: 4, address, port: 1, scope: 0, localAddress: address, localInterface: 3 });
    const endpoint = readEndpoint(arena, 0);
    arena.fill(0);
    expect([...(endpoint?.address ?? []), ...(endpoint?.localAddress ?? [])]).toEqual([...address, ...address]);
  });

  it('has its words where native code reads them: port in host order, addresses as on the wire', () => {
    const arena = new Uint8Array(RECORD_BYTES);
    const local = Uint8Array.of(192, 0, 2, 1);
    const address = Uint8Array.of(198, 51, 100, 7);
    writeEndpoint(arena, 0, { family: 4, address, port: 51_820, scope: 0, localAddress: local, localInterface: 3 });
    const words = new Int32Array(arena.buffer);
    expect(words[ENDPOINT.FAMILY]).toBe(4);
    expect(words[ENDPOINT.PORT]).toBe(51_820);
    expect(words[ENDPOINT.LOCAL_INTERFACE]).toBe(3);
    expect([...arena.slice(ENDPOINT.ADDRESS * 4, ENDPOINT.ADDRESS * 4 + 4)]).toEqual([...address]);
    expect([...arena.slice(ENDPOINT.LOCAL_ADDRESS * 4, ENDPOINT.LOCAL_ADDRESS * 4 + 4)]).toEqual([...local]);
  });

  it('that is none is a record of zeros, and reads as none', () => {
    const arena = surroundedRecord();
    writeEndpoint(arena, SURROUNDING, null);
    expect(readEndpoint(arena, SURROUNDING)).toBeNull();
    expect(arena.slice(SURROUNDING, SURROUNDING + RECORD_BYTES).every((byte) => byte === 0)).toBe(true);
  });
});

function surroundedRecord(): Uint8Array {
  return new Uint8Array(RECORD_BYTES + 2 * SURROUNDING).fill(0xaa);
}

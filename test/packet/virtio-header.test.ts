/** Virtio headers as the kernel reads them (struct virtio_net_hdr). */
import { describe, expect, it } from 'vitest';
import { GSO, writePlainVirtioHeader, writeSuperVirtioHeader } from '../../src/packet/virtio-header.ts';
import { decodeVirtio, NO_OFFLOAD } from '../support/virtio.ts';

describe('a virtio header', () => {
  it('of a single packet is ten zeros and not a byte more', () => {
    const bytes = new Uint8Array(14).fill(0xff);
    writePlainVirtioHeader(new DataView(bytes.buffer), 2);
    expect([...bytes]).toEqual([0xff, 0xff, ...new Array(10).fill(0), 0xff, 0xff]);
    expect(decodeVirtio(bytes.slice(2))).toEqual(NO_OFFLOAD);
  });

  it('of a super-packet asks for the checksum and says how to cut', () => {
    const bytes = new Uint8Array(14).fill(0xff);
    writeSuperVirtioHeader(new DataView(bytes.buffer), 2, GSO.TCP6, 72, 1_348, 40, 16);
    expect(decodeVirtio(bytes.slice(2))).toEqual({
      flags: 1,
      gsoType: 4,
      headerLength: 72,
      gsoSize: 1_348,
      checksumStart: 40,
      checksumOffset: 16,
    });
    expect([bytes[0], bytes[1], bytes[12], bytes[13]]).toEqual([0xff, 0xff, 0xff, 0xff]);
  });
});

/** What a device refuses, from the chair of somebody who can change, repeat and invent messages. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mac1Key, stampMac1 } from '../../src/protocol/mac.ts';
import { encodeInitiation, encodeResponse } from '../../src/protocol/messages.ts';
import { failureIn, kinds, messageIn, only, Side, seededBytes, twoSides } from './support.ts';

/** mac1 is all that is left of a message which cannot be checked further: its owner knows the public key, as all do. */
function withMac1(message: Uint8Array, to: Side): Uint8Array {
  const stamped = Uint8Array.from(message);
  stampMac1(stamped, mac1Key(to.publicKey));
  return stamped;
}

function flipped(message: Uint8Array, bit: number): Uint8Array {
  const changed = Uint8Array.from(message);
  changed[bit >> 3] ^= 1 << (bit & 7);
  return changed;
}

describe('A device', () => {
  it('refuses an initiation that is cut, extended or has any bit changed, and then takes the true one', () => {
    const { a, b } = twoSides();
    const initiation = messageIn(a.want(1000));
    expectRefusals(b, a, initiation, 132 * 8);
    expect(kinds(b.receive(initiation, a, 1001))).toContain('install');
  });

  it('refuses a response that is cut, extended or has any bit changed, and then takes the true one', () => {
    const { a, b } = twoSides();
    const response = messageIn(b.receive(messageIn(a.want(1000)), a, 1001));
    expectRefusals(a, b, response, 76 * 8);
    expect(kinds(a.receive(response, b, 1002))).toContain('install');
  });

  it('refuses a cookie reply that is cut, extended or has any bit changed, and then takes the true one', () => {
    const { a, b } = twoSides();
    const reply = messageIn(b.receive(messageIn(a.want(1000)), a, 1001, true));
    expectRefusals(a, b, reply, 64 * 8);
    expect(a.receive(reply, b, 1002)).toEqual([]);
  });

  it('refuses changed messages whose mac1 was made anew', () => {
    const { a, b } = twoSides();
    const initiation = messageIn(a.want(1000));
    for (let bit = 8 * 8; bit < 116 * 8; bit += 7) {
      const failure = failureIn(b.receive(withMac1(flipped(initiation, bit), b), a, 1001));
      expect(['bad initiation', 'bad key exchange'], `bit ${bit}`).toContain(failure);
    }
    const response = messageIn(b.receive(initiation, a, 1001));
    for (let bit = 8 * 8; bit < 60 * 8; bit += 5) {
      const failure = failureIn(a.receive(withMac1(flipped(response, bit), a), b, 1002));
      expect(['bad response', 'unexpected response', 'bad key exchange'], `bit ${bit}`).toContain(failure);
    }
  });

  it('survives any bytes', () => {
    const { a, b } = twoSides();
    a.want(1000);
    fc.assert(
      fc.property(
        fc.constantFrom(1, 2, 3, 4),
        fc.constantFrom(148, 92, 64, 32, 0),
        fc.infiniteStream(fc.nat(255)),
        (type, length, noise) => {
          const message = Uint8Array.from({ length }, () => noise.next().value ?? 0);
          message.set([type, 0, 0, 0].slice(0, length));
          expect(failureIn(a.receive(message, b, 1001))).not.toBeNull();
          if (length > 64) expect(failureIn(a.receive(withMac1(message, a), b, 1001))).not.toBeNull();
        },
      ),
    );
  });

  it('refuses an initiation of somebody it does not know', () => {
    const { b } = twoSides();
    const stranger = new Side(7);
    stranger.peer = stranger.machine.addPeer(b.publicKey);
    expect(failureIn(b.receive(messageIn(stranger.want(1000)), stranger, 1001))).toBe('unknown peer');
  });

  it('refuses a message that was made for another key', () => {
    const { a, b } = twoSides();
    expect(failureIn(a.receive(messageIn(a.want(1000)), b, 1001))).toBe('bad mac1');
  });

  it('refuses a replayed initiation, at once and later', () => {
    const { a, b } = twoSides();
    const initiation = messageIn(a.want(1000));
    b.receive(initiation, a, 1001);
    expect(failureIn(b.receive(initiation, a, 1002))).toBe('old timestamp');
    expect(failureIn(b.receive(initiation, a, 1_000_000))).toBe('old timestamp');
  });

  it('that was restarted answers a replayed initiation once, which ends nothing, and then the true one', () => {
    const { a, b } = twoSides();
    const recorded = messageIn(a.want(1000));
    b.receive(recorded, a, 1001);
    // The same keys, and no memory: as a process that was started anew.
    const { b: restarted } = twoSides();
    const answered = restarted.receive(recorded, a, 60_000);
    expect(failureIn(answered)).toBeNull();
    // Nobody can confirm this keypair: nothing is sent with it.
    expect(only(answered, 'install').map(({ place }) => place)).toEqual(['next']);
    expect(failureIn(restarted.receive(recorded, a, 60_100))).toBe('old timestamp');
    const fresh = messageIn(a.activity(a.nextMs));
    const response = messageIn(restarted.receive(fresh, a, 60_200));
    expect(failureIn(a.receive(response, restarted, 60_201))).toBeNull();
    expect(failureIn(restarted.receive(recorded, a, 60_300))).toBe('old timestamp');
  });

  it('refuses an initiation with a timestamp from before the last one', () => {
    const { a, b } = twoSides();
    const early = messageIn(a.want(1000));
    const late = messageIn(a.activity(a.nextMs));
    expect(failureIn(b.receive(late, a, 6400))).toBeNull();
    expect(failureIn(b.receive(early, a, 6500))).toBe('old timestamp');
  });

  it('refuses a second initiation of a peer within 20 ms', () => {
    const { a, b } = twoSides();
    const first = messageIn(a.want(1000));
    const second = messageIn(a.activity(a.nextMs));
    const third = messageIn(a.activity(a.nextMs));
    expect(failureIn(b.receive(first, a, 20_000))).toBeNull();
    expect(failureIn(b.receive(second, a, 20_020))).toBe('flood');
    expect(failureIn(b.receive(third, a, 20_020.5))).toBeNull();
  });

  it('refuses a response that nothing asked for, and the second of two', () => {
    const { a, b } = twoSides();
    const response = messageIn(b.receive(messageIn(a.want(1000)), a, 1001));
    expect(failureIn(b.receive(withMac1(response, b), a, 1002))).toBe('unexpected response');
    expect(failureIn(a.receive(response, b, 1002))).toBeNull();
    expect(failureIn(a.receive(response, b, 1003))).toBe('unexpected response');
  });

  it('refuses the response to an initiation that it has sent again since', () => {
    const { a, b } = twoSides();
    const response = messageIn(b.receive(messageIn(a.want(1000)), a, 1001));
    a.activity(a.nextMs);
    expect(failureIn(a.receive(response, b, 6500))).toBe('unexpected response');
  });

  it('refuses keys of low order', () => {
    const { a, b } = twoSides();
    const low = a.machine.addPeer(new Uint8Array(32));
    expect(failureIn(a.machine.wantHandshake(low, 1000, 1000))).toBe('bad key exchange');
    const noise = seededBytes(8)(108);
    noise.fill(0, 0, 32);
    expect(failureIn(b.receive(withMac1(encodeInitiation(1, noise), b), a, 1000))).toBe('bad initiation');
    const initiation = messageIn(a.want(1000));
    const sender = new DataView(initiation.buffer).getInt32(4, true);
    const response = withMac1(encodeResponse(5, sender, noise.subarray(0, 48)), a);
    expect(failureIn(a.receive(response, b, 1001))).toBe('bad response');
  });

  it('moves no endpoint for a message that it refuses', () => {
    const { a, b } = twoSides();
    const thief = new Side(9);
    const initiation = messageIn(a.want(1000));
    const response = messageIn(b.receive(initiation, a, 1001));
    const refused = [
      ...b.receive(initiation, thief, 1002),
      ...b.receive(withMac1(flipped(initiation, 400), b), thief, 1002),
      ...a.receive(withMac1(flipped(response, 400), a), thief, 1002),
    ];
    expect(only(refused, 'failed').length).toBe(3);
    expect(only(refused, 'endpoint')).toEqual([]);
  });
});

/** Every cut, some extensions, and every changed bit before mac2, which only counts under load. */
function expectRefusals(victim: Side, from: Side, message: Uint8Array, bits: number): void {
  for (let length = 0; length < message.length; length++) {
    expect(failureIn(victim.receive(message.subarray(0, length), from, 1001))).toBe('bad message');
  }
  for (const more of [1, 2, 16, 56, 84]) {
    const longer = new Uint8Array(message.length + more);
    longer.set(message);
    expect(failureIn(victim.receive(longer, from, 1001))).not.toBeNull();
  }
  for (let bit = 0; bit < bits; bit++) {
    const actions = victim.receive(flipped(message, bit), from, 1001);
    expect(kinds(actions), `bit ${bit}`).toEqual(['failed']);
  }
}

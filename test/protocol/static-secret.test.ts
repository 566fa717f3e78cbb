/** The secret of the two static keys is made at a peer's first handshake and follows every change of our key. */
import { describe, expect, it, vi } from 'vitest';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { DeviceMachine } from '../../src/protocol/device-machine.ts';
import { writeResponse } from '../../src/protocol/noise.ts';
import { SymmetricState } from '../../src/protocol/symmetric-state.ts';
import * as x25519 from '../../src/protocol/x25519.ts';
import { failureIn, messageIn, NO_TIMES, only, seededBytes, twoSides } from './support.ts';

vi.mock('../../src/protocol/x25519.ts', async (original) => {
  const real = await original<typeof x25519>();
  return { ...real, sharedSecret: vi.fn(real.sharedSecret), importKeyPair: vi.fn(real.importKeyPair) };
});

const exchanges = vi.mocked(x25519.sharedSecret);

describe('the secret of the static keys', () => {
  it('costs nothing when peers are added, and one exchange at the first handshake only', () => {
    const random = seededBytes(3);
    const machine = new DeviceMachine({ privateKey: random(32), timing: WIREGUARD_TIMING, random });
    exchanges.mockClear();
    const ids = Array.from({ length: 200 }, () => machine.addPeer(random(32)));
    expect(exchanges).not.toHaveBeenCalled();
    machine.wantHandshake(ids[7] ?? 0, 1_000, 1_000);
    // Static with static, and ephemeral with static.
    expect(exchanges).toHaveBeenCalledTimes(2);
    machine.activity(ids[7] ?? 0, NO_TIMES, 8_000, 8_000);
    expect(exchanges).toHaveBeenCalledTimes(3);
  });

  it('is made anew when our key changes, on either side of a handshake', () => {
    const { a, b } = twoSides();
    a.receive(messageIn(b.receive(messageIn(a.want(1_000)), a, 1_001)), b, 1_002);
    const key = seededBytes(77)(32);
    b.machine.setPrivateKey(key, 2_000);
    const renewed = b.publicKey;
    expect(failureIn(b.receive(messageIn(a.want(20_000)), a, 20_001))).toBe('bad mac1');
    a.machine.removePeer(a.peer, 20_002);
    a.peer = a.machine.addPeer(renewed);
    const answer = b.receive(messageIn(a.want(30_000)), a, 30_001);
    expect(only(a.receive(messageIn(answer), b, 30_002), 'install')).toHaveLength(1);
  });

  it('that is all zeros fails each handshake, without another exchange', () => {
    const { a } = twoSides();
    const low = a.machine.addPeer(new Uint8Array(32));
    expect(failureIn(a.machine.wantHandshake(low, 1_000, 1_000))).toBe('bad key exchange');
    exchanges.mockClear();
    expect(failureIn(a.machine.wantHandshake(low, 9_000, 9_000))).toBe('bad key exchange');
    expect(exchanges).not.toHaveBeenCalled();
  });

  it.each(['ephemeral', 'static'] as const)(
    'that fails for the %s key leaves no other secret of a response',
    (which) => {
      const [ephemeral, remote] = [x25519.generateKeyPair(), x25519.generateKeyPair()];
      const zeros = new Uint8Array(32);
      const presharedKey = zeros;
      const remoteEphemeral = which === 'ephemeral' ? zeros : remote.publicKey;
      const remoteStatic = which === 'static' ? zeros : remote.publicKey;
      const state = SymmetricState.start('chacha20-poly1305', zeros, remote.publicKey);
      exchanges.mockClear();
      expect(writeResponse(state, { ephemeral, remoteEphemeral, remoteStatic, presharedKey }, zeros)).toBeNull();
      const secrets = exchanges.mock.results.map(({ value }) => value as Uint8Array | null);
      expect(secrets.map((secret) => secret?.some((byte) => byte !== 0) ?? null).sort()).toEqual([false, null]);
    },
  );

  it('is zeroed when the peer goes', () => {
    const { a } = twoSides();
    exchanges.mockClear();
    a.want(1_000);
    const secret = exchanges.mock.results[0]?.value as Uint8Array;
    expect(secret.some((byte) => byte !== 0)).toBe(true);
    a.machine.removePeer(a.peer, 2_000);
    expect(secret.every((byte) => byte === 0)).toBe(true);
  });
});

describe('a generated key pair', () => {
  it('is a new one each time, whose public key belongs to its private key', () => {
    const [one, other] = [x25519.generateKeyPair(), x25519.generateKeyPair()];
    expect(one.publicKey).not.toEqual(other.publicKey);
    const secret = x25519.sharedSecret(one.privateKey, other.publicKey);
    expect(secret).toHaveLength(32);
    expect(x25519.sharedSecret(other.privateKey, one.publicKey)).toEqual(secret);
  });
});

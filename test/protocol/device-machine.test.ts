/** The handshake of two devices, both roles: what it yields, and what is refused. */
import { describe, expect, it } from 'vitest';
import type { NewKeypair } from '../../src/protocol/action.ts';
import { seal, unseal } from '../../src/protocol/aead.ts';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { DeviceMachine } from '../../src/protocol/device-machine.ts';
import { EPOCH_MS, failureIn, kinds, messageIn, only, Side, seededBytes, twoSides } from './support.ts';

const NOTHING = new Uint8Array(0);
const KEY = seededBytes(99)(32);

function keypairIn(actions: Parameters<typeof only>[0]): NewKeypair {
  return only(actions, 'install')[0].keypair;
}

/** A whole handshake that `a` starts; both keypairs. */
function shake(a: Side, b: Side, nowMs: number): { initiator: NewKeypair; responder: NewKeypair } {
  const answer = b.receive(messageIn(a.want(nowMs)), a, nowMs + 1);
  const done = a.receive(messageIn(answer), b, nowMs + 2);
  const responder = keypairIn(answer);
  b.machine.confirmed(b.peer, responder.id, nowMs + 3);
  return { initiator: keypairIn(done), responder };
}

describe('A handshake', () => {
  it('gives both ends the same keys, crossed, and the indices of each other', () => {
    const { a, b } = twoSides();
    const { initiator, responder } = shake(a, b, 1000);
    expect(initiator.sendKey).toEqual(responder.receiveKey);
    expect(initiator.receiveKey).toEqual(responder.sendKey);
    expect(initiator.sendKey).not.toEqual(initiator.receiveKey);
    expect(initiator.localIndex).toBe(responder.remoteIndex);
    expect(initiator.remoteIndex).toBe(responder.localIndex);
    expect([initiator.initiator, responder.initiator]).toEqual([true, false]);
    const sealed = seal(initiator.cipher, initiator.sendKey, new Uint8Array(12), NOTHING, Buffer.from('hello'));
    expect(unseal(responder.cipher, responder.receiveKey, new Uint8Array(12), NOTHING, sealed)).toEqual(
      Uint8Array.from(Buffer.from('hello')),
    );
  });

  it('tells the initiator to send 148 bytes to the present endpoint of the peer', () => {
    const { a } = twoSides();
    const actions = a.want(1000);
    expect(kinds(actions)).toEqual(['send', 'clearTime']);
    const [send] = only(actions, 'send');
    expect([send.peer, send.to, send.forgetSource, send.message.length]).toEqual([a.peer, null, false, 148]);
    expect(send.message.subarray(132)).toEqual(new Uint8Array(16));
  });

  it('tells the responder to move the endpoint, install next and answer with 92 bytes to the source', () => {
    const { a, b } = twoSides();
    const actions = b.receive(messageIn(a.want(1000)), a, 1001);
    expect(kinds(actions)).toEqual(['endpoint', 'clearTime', 'install', 'send', 'clearTime']);
    expect(only(actions, 'endpoint')[0].endpoint).toEqual(a.endpoint);
    expect(only(actions, 'install')[0].place).toBe('next');
    const [send] = only(actions, 'send');
    expect([send.peer, send.to, send.message.length]).toEqual([b.peer, a.endpoint, 92]);
    expect(keypairIn(actions).bornMs).toBe(1001);
    expect(only(actions, 'clearTime').map(({ time }) => time)).toEqual(['unansweredSinceMs', 'owedSinceMs']);
  });

  it('tells the initiator to install current and then to prove it with a keepalive', () => {
    const { a, b } = twoSides();
    const answer = b.receive(messageIn(a.want(1000)), a, 1001);
    const actions = a.receive(messageIn(answer), b, 1002);
    expect(kinds(actions)).toEqual(['endpoint', 'clearTime', 'install', 'keepalive']);
    expect(only(actions, 'install')[0].place).toBe('current');
    expect(only(actions, 'clearTime')[0].time).toBe('unansweredSinceMs');
  });

  it('lets the responder promote its keypair with the first message on it, once', () => {
    const { a, b } = twoSides();
    const { id } = keypairIn(b.receive(messageIn(a.want(1000)), a, 1001));
    expect(b.machine.status(b.peer).lastHandshakeRealMs).toBe(0);
    expect(b.machine.confirmed(b.peer, id, 1003)).toEqual([{ kind: 'promote', peer: b.peer, keypairId: id }]);
    expect(b.machine.confirmed(b.peer, id, 1004)).toEqual([]);
    expect(b.machine.status(b.peer).lastHandshakeRealMs).toBe(EPOCH_MS + 1003);
  });

  it('retires keypairs as slots fill, and gives their numbers out again', () => {
    const { a, b } = twoSides();
    const ids: number[] = [];
    for (let round = 0; round < 10; round++) ids.push(shake(a, b, 1000 + round * 10_000).initiator.id);
    expect(ids).toEqual([0, 1, 2, 0, 1, 2, 0, 1, 2, 0]);
  });

  it('zeroes the ephemeral private keys, which come from the random source', () => {
    const bytes = seededBytes(6);
    const given: Uint8Array[] = [];
    const watched = (length: number): Uint8Array => {
      const random = bytes(length);
      if (length === 32) given.push(random);
      return random;
    };
    const { a } = twoSides();
    const machine = new DeviceMachine({ privateKey: bytes(32), timing: WIREGUARD_TIMING, random: watched });
    const b = Object.assign(new Side(3), { machine, peer: machine.addPeer(a.publicKey) });
    a.peer = a.machine.addPeer(b.publicKey);
    shake(a, b, 1000);
    shake(b, a, 10_000);
    expect(given).toEqual([new Uint8Array(32), new Uint8Array(32)]);
  });

  it('gives receiver indices back with the keypairs that they belong to', () => {
    const bytes = seededBytes(6);
    let calls = 0;
    // Of indices there are only eight: four to be in use at once, and some to miss.
    const fewIndices = (length: number): Uint8Array => {
      if (calls++ > 10_000) throw new Error('no index is free');
      const random = bytes(length);
      return length === 4 ? Uint8Array.of(1 + (random[0] & 7), 0, 0, 0) : random;
    };
    const { a } = twoSides();
    const machine = new DeviceMachine({ privateKey: bytes(32), timing: WIREGUARD_TIMING, random: fewIndices });
    const b = Object.assign(new Side(3), { machine, peer: machine.addPeer(a.publicKey) });
    a.peer = a.machine.addPeer(b.publicKey);
    for (let round = 0; round < 20; round++) {
      shake(a, b, 1000 + round * 20_000);
      shake(b, a, 11_000 + round * 20_000);
    }
    expect(calls).toBeLessThan(1000);
  });

  it('works with a preshared key on both ends, and not with one on one end or two that differ', () => {
    const outcome = (keyA: Uint8Array | null, keyB: Uint8Array | null): string | null => {
      const { a, b } = twoSides();
      a.machine.setPresharedKey(a.peer, keyA);
      b.machine.setPresharedKey(b.peer, keyB);
      const answer = b.receive(messageIn(a.want(1000)), a, 1001);
      return failureIn(a.receive(messageIn(answer), b, 1002));
    };
    expect(outcome(KEY, KEY)).toBeNull();
    expect(outcome(null, new Uint8Array(32))).toBeNull();
    expect(outcome(KEY, null)).toBe('bad response');
    expect(outcome(null, KEY)).toBe('bad response');
    expect(outcome(KEY, seededBytes(98)(32))).toBe('bad response');
  });

  it('is never decided by a cookie reply, which does not move the endpoint', () => {
    const { a, b } = twoSides();
    const refused = b.receive(messageIn(a.want(1000)), a, 1001, true);
    expect(failureIn(refused)).toBe('bad mac2');
    const [reply] = only(refused, 'send');
    expect([reply.peer, reply.to, reply.message.length]).toEqual([null, a.endpoint, 64]);
    expect(a.receive(reply.message, b, 1002)).toEqual([]);
    expect(failureIn(a.receive(reply.message, b, 1003))).toBe('unexpected cookie');
  });

  it('passes a loaded responder once the initiator has its cookie', () => {
    const { a, b } = twoSides();
    a.receive(messageIn(b.receive(messageIn(a.want(1000)), a, 1001, true)), b, 1002);
    const again = messageIn(a.activity(a.nextMs));
    const answer = b.receive(again, a, 6400, true);
    expect(kinds(answer)).toContain('install');
    expect(kinds(a.receive(messageIn(answer), b, 6401))).toContain('install');
  });

  it('holds the rate of one address down when under load, even with a cookie', () => {
    const { a, b } = twoSides();
    a.receive(messageIn(b.receive(messageIn(a.want(1000)), a, 1001, true)), b, 1002);
    const again = messageIn(a.activity(a.nextMs));
    const failures = Array.from({ length: 7 }, () => failureIn(b.receive(again, a, 6400, true)));
    expect(failures).toEqual([null, ...Array(4).fill('old timestamp'), 'rate limit', 'rate limit']);
  });

  it('also gets past a loaded initiator, which answers the response with a cookie', () => {
    const { a, b } = twoSides();
    const answer = b.receive(messageIn(a.want(1000)), a, 1001);
    const refused = a.receive(messageIn(answer), b, 1002, true);
    expect(failureIn(refused)).toBe('bad mac2');
    expect(b.receive(messageIn(refused), a, 1003)).toEqual([]);
    const second = b.receive(messageIn(a.activity(a.nextMs)), a, 6400);
    expect(kinds(a.receive(messageIn(second), b, 6401, true))).toContain('install');
  });
});

describe('A device', () => {
  it('refuses a private key, public key or preshared key that is not 32 bytes long', () => {
    const { a } = twoSides();
    for (const length of [0, 31, 33]) {
      const key = new Uint8Array(length);
      expect(() => a.machine.setPrivateKey(key, 0)).toThrow(RangeError);
      expect(() => a.machine.addPeer(key)).toThrow(RangeError);
      expect(() => a.machine.setPresharedKey(a.peer, key)).toThrow(RangeError);
    }
  });

  it('refuses a peer that it has, one too many, and the id of none', () => {
    const random = seededBytes(5);
    const machine = new DeviceMachine({ privateKey: null, timing: WIREGUARD_TIMING, random, peersMax: 2 });
    const key = random(32);
    machine.addPeer(key);
    expect(() => machine.addPeer(key)).toThrow(RangeError);
    machine.addPeer(random(32));
    expect(() => machine.addPeer(random(32))).toThrow(RangeError);
    expect(() => machine.status(2)).toThrow(RangeError);
  });

  it('gives the ids of removed peers out again, and forgets all about them', () => {
    const { a, b } = twoSides();
    shake(a, b, 1000);
    const first = messageIn(a.want(120_000));
    expect(kinds(a.machine.removePeer(a.peer, 120_001))).toEqual(['retire']);
    const answer = b.receive(first, a, 120_002);
    expect(failureIn(a.receive(messageIn(answer), b, 120_003))).toBe('unexpected response');
    expect(a.machine.addPeer(seededBytes(8)(32))).not.toBe(a.peer);
    a.machine.releasePeerId(a.peer);
    expect(() => a.machine.releasePeerId(1)).toThrow(RangeError);
    expect(a.machine.addPeer(b.publicKey)).toBe(a.peer);
    expect(kinds(a.want(130_000))).toContain('send');
  });

  it('has nothing to say without a private key', () => {
    const { a, b } = twoSides();
    const initiation = messageIn(a.want(1000));
    b.machine.setPrivateKey(null, 1001);
    expect(b.machine.publicKey).toBeNull();
    expect(failureIn(b.receive(initiation, a, 1002))).toBe('no private key');
    expect(failureIn(b.want(1003))).toBe('no private key');
    expect(b.machine.status(b.peer)).toMatchObject({ handshakeUnderWay: false, lastFailure: 'no private key' });
  });

  it('retires all keypairs when its private key changes, and shakes hands with the new one', () => {
    const { a, b } = twoSides();
    shake(a, b, 1000);
    expect(kinds(b.machine.setPrivateKey(KEY, 2000))).toEqual(['retire']);
    expect(failureIn(b.receive(messageIn(a.want(10_000)), a, 10_001))).toBe('bad mac1');
    a.machine.removePeer(a.peer, 10_002);
    a.peer = a.machine.addPeer(b.publicKey);
    expect(() => shake(a, b, 20_000)).not.toThrow();
  });
});

/** Two ciphers: which one a handshake uses, what is refused, and what is shared between them. */
import { describe, expect, it } from 'vitest';
import { type Action, explainFailure, type NewKeypair } from '../../src/protocol/action.ts';
import type { Cipher, CipherChoice } from '../../src/protocol/cipher.ts';
import { WIREGUARD_TIMING } from '../../src/protocol/constants.ts';
import { failureIn, kinds, messageIn, only, Side } from './support.ts';

const CHACHA = 'chacha20-poly1305';
const AES = 'aes-256-gcm';

/** Two devices that are each other's peer; whether each is fast at AES-256-GCM. */
function sides(choices: readonly [CipherChoice, CipherChoice], fast: readonly [boolean, boolean] = [true, true]) {
  const a = new Side(1, WIREGUARD_TIMING, fast[0]);
  const b = new Side(2, WIREGUARD_TIMING, fast[1]);
  a.peer = a.machine.addPeer(b.publicKey, { cipher: choices[0] });
  b.peer = b.machine.addPeer(a.publicKey, { cipher: choices[1] });
  return { a, b };
}

function keypairIn(actions: readonly Action[]): NewKeypair {
  return only(actions, 'install')[0].keypair;
}

/** Brings an initiation to its end; null when it was refused. */
function answer(from: Side, to: Side, initiation: Uint8Array, nowMs: number): Cipher | null {
  const response = to.receive(initiation, from, nowMs);
  if (failureIn(response) !== null) return null;
  const { id, cipher } = keypairIn(response);
  const done = keypairIn(from.receive(messageIn(response), to, nowMs + 1));
  expect([done.cipher, done.sendKey.length]).toEqual([cipher, 32]);
  to.machine.confirmed(to.peer, id, nowMs + 2);
  return cipher;
}

/** Tries of a handshake that `from` wants, and when the last was made: until one is answered, or five were not. */
function tries(from: Side, to: Side, nowMs: number): { ciphers: (Cipher | null)[]; endMs: number } {
  const ciphers: (Cipher | null)[] = [];
  let atMs = nowMs;
  for (let actions = from.want(atMs); ciphers.length < 5; atMs = from.nextMs, actions = from.activity(atMs)) {
    if (!kinds(actions).includes('send')) continue;
    const cipher = answer(from, to, messageIn(actions), atMs);
    ciphers.push(cipher);
    if (cipher !== null) break;
  }
  return { ciphers, endMs: atMs };
}

/** What an offer that follows by itself, without any wish for a handshake, comes to. */
function offer(from: Side, to: Side): Cipher | null | 'none' {
  const atMs = from.nextMs;
  if (atMs > 60_000) return 'none';
  const actions = from.activity(atMs);
  return kinds(actions).includes('send') ? answer(from, to, messageIn(actions), atMs) : 'none';
}

const lastFailure = ({ machine, peer }: Side): string | null => machine.status(peer).lastFailure;
const cipherOf = ({ machine, peer }: Side): Cipher | null => machine.status(peer).cipher;

describe('A handshake between two choices', () => {
  it.each<[CipherChoice, CipherChoice, (Cipher | null)[]]>([
    ['chacha20-poly1305', 'chacha20-poly1305', [CHACHA]],
    ['aes-256-gcm', 'aes-256-gcm', [AES]],
    ['auto', 'auto', [AES]],
    ['auto', 'aes-256-gcm', [AES]],
    ['aes-256-gcm', 'auto', [AES]],
    ['auto', 'chacha20-poly1305', [null, CHACHA]],
    ['chacha20-poly1305', 'auto', [CHACHA]],
    ['aes-256-gcm', 'chacha20-poly1305', [null, null, null, null, null]],
    ['chacha20-poly1305', 'aes-256-gcm', [null, null, null, null, null]],
  ])('%s to %s: tries %j', (first, second, expected) => {
    const { a, b } = sides([first, second]);
    const { ciphers } = tries(a, b, 1000);
    expect(ciphers).toEqual(expected);
    expect([cipherOf(a), cipherOf(b)]).toEqual([ciphers.at(-1), ciphers.at(-1)]);
  });

  it('has messages of the same sizes in both ciphers', () => {
    for (const choice of [CHACHA, AES] as const) {
      const { a, b } = sides([choice, choice]);
      const initiation = messageIn(a.want(1000));
      expect([initiation.length, messageIn(b.receive(initiation, a, 1001)).length]).toEqual([148, 92]);
    }
  });

  it('gives both ends the same keys, crossed, and others than the other cipher does', () => {
    const keys = ([CHACHA, AES] as const).map((choice) => {
      const { a, b } = sides([choice, choice]);
      const response = b.receive(messageIn(a.want(1000)), a, 1001);
      const [responder, initiator] = [keypairIn(response), keypairIn(a.receive(messageIn(response), b, 1002))];
      expect([initiator.sendKey, initiator.receiveKey]).toEqual([responder.receiveKey, responder.sendKey]);
      return initiator.sendKey;
    });
    expect(keys[0]).not.toEqual(keys[1]);
  });

  it('under load works with a cookie in AES-256-GCM as well', () => {
    const { a, b } = sides([AES, AES]);
    const cookie = messageIn(b.receive(messageIn(a.want(1000)), a, 1001, true));
    expect(a.receive(cookie, b, 1002)).toEqual([]);
    const again = messageIn(a.activity(a.nextMs));
    expect(kinds(b.receive(again, a, 6500, true))).toContain('install');
  });
});

describe('auto', () => {
  it('offers nothing where AES-256-GCM is slow, but takes it', () => {
    const { a, b } = sides(['auto', 'auto'], [false, true]);
    expect(tries(a, b, 1000).ciphers).toEqual([CHACHA]);
    const other = sides(['auto', 'auto'], [false, true]);
    expect(tries(other.b, other.a, 1000).ciphers).toEqual([AES]);
  });

  it('costs a stock peer one unanswered initiation, ever', () => {
    const { a, b } = sides(['auto', CHACHA]);
    const first = tries(a, b, 1000);
    expect(first.ciphers).toEqual([null, CHACHA]);
    for (let round = 1; round <= 5; round++) expect(tries(a, b, 1000 + round * 130_000).ciphers).toEqual([CHACHA]);
    expect(tries(b, a, 900_000).ciphers).toEqual([CHACHA]);
    expect(offer(a, b)).toBe('none');
  });

  it('costs a stock peer that initiates itself one unanswered offer, beside a session that goes on', () => {
    const { a, b } = sides([CHACHA, 'auto']);
    expect(tries(a, b, 1000).ciphers).toEqual([CHACHA]);
    expect(offer(b, a)).toBeNull();
    expect(b.activity(b.nextMs)).toEqual([]);
    expect([cipherOf(b), lastFailure(b), b.machine.status(b.peer).handshakeUnderWay]).toEqual([CHACHA, null, false]);
    expect(tries(a, b, 130_000).ciphers).toEqual([CHACHA]);
    expect(tries(b, a, 260_000).ciphers).toEqual([CHACHA]);
  });

  it('comes to AES-256-GCM after all when only its first offer was lost', () => {
    const { a, b } = sides(['auto', 'auto']);
    a.want(1000);
    const again = messageIn(a.activity(a.nextMs));
    expect(answer(a, b, again, 6500)).toBe(CHACHA);
    expect(offer(b, a)).toBe(AES);
    expect([cipherOf(a), cipherOf(b)]).toEqual([AES, AES]);
    expect(tries(a, b, 200_000).ciphers).toEqual([AES]);
  });

  it('falls back when a stock peer takes the place of one that knew AES-256-GCM, and offers no more', () => {
    const { a, b } = sides(['auto', 'auto']);
    expect(tries(a, b, 1000).ciphers).toEqual([AES]);
    b.machine.setCipher(b.peer, CHACHA);
    expect(tries(a, b, 130_000).ciphers).toEqual([null, CHACHA]);
    expect(tries(a, b, 260_000).ciphers).toEqual([CHACHA]);
  });

  it('does not take an outage for a stock peer', () => {
    const { a, b } = sides(['auto', 'auto']);
    tries(a, b, 1000);
    a.want(130_000);
    for (let lost = 0; lost < 2; lost++) a.activity(a.nextMs);
    const after = a.nextMs;
    expect(answer(a, b, messageIn(a.activity(after)), after)).toBe(CHACHA);
    expect(tries(a, b, after + 130_000).ciphers).toEqual([AES]);
  });

  it('remembers that a peer it took for stock has initiated in AES-256-GCM', () => {
    const { a, b } = sides(['auto', CHACHA]);
    tries(a, b, 1000);
    b.machine.setCipher(b.peer, AES);
    expect(tries(b, a, 130_000).ciphers).toEqual([AES]);
    expect(tries(a, b, 260_000).ciphers).toEqual([AES]);
  });

  it('forgets what it learned when the choice is set again', () => {
    const { a, b } = sides(['auto', CHACHA]);
    tries(a, b, 1000);
    a.machine.setCipher(a.peer, 'auto');
    expect(tries(a, b, 130_000).ciphers).toEqual([null, CHACHA]);
  });

  it('survives its offer crossing with an initiation in the other cipher', () => {
    const { a, b } = sides(['auto', CHACHA]);
    a.want(1000);
    expect(answer(b, a, messageIn(b.want(1000)), 1020)).toBe(CHACHA);
    expect(offer(a, b)).toBe('none');
    expect(tries(a, b, 130_000).ciphers).toEqual([CHACHA]);
  });
});

describe('Forced ciphers that differ', () => {
  it('say at both ends what is wrong', () => {
    const { a, b } = sides([AES, CHACHA]);
    tries(a, b, 1000);
    tries(b, a, 50_000);
    expect([lastFailure(a), lastFailure(b)]).toEqual(['cipher refused', 'cipher refused']);
  });

  it('are explained with what to do; other failures go by their name', () => {
    for (const reason of ['cipher refused', 'no answer to aes-256-gcm'] as const)
      expect(explainFailure(reason)).toMatch(new RegExp(`^${reason}: .*set Cipher = auto`));
    expect(explainFailure('no answer')).toBe('no answer');
  });

  it('say so where the other end is never heard', () => {
    const { a } = sides([AES, CHACHA]);
    a.want(1000);
    for (let atMs = a.nextMs; atMs < 200_000; atMs = a.nextMs) a.activity(atMs);
    expect(lastFailure(a)).toBe('no answer to aes-256-gcm');
  });

  it('do not call a single offer of auto a failure', () => {
    const { a, b } = sides(['auto', CHACHA]);
    expect(failureIn(b.receive(messageIn(a.want(1000)), a, 1001))).toBe('cipher refused');
    expect(lastFailure(b)).toBeNull();
  });
});

describe('A device with peers of both ciphers', () => {
  /** `c` forces AES-256-GCM, `a` WireGuard's cipher, at `b` as well. */
  function three() {
    const { a, b } = sides([CHACHA, CHACHA]);
    const c = new Side(3);
    c.peer = c.machine.addPeer(b.publicKey, { cipher: AES });
    const peerC = b.machine.addPeer(c.publicKey, { cipher: AES });
    return { a, b, c, peerC };
  }

  it('takes each in its own', () => {
    const { a, b, c } = three();
    expect(keypairIn(b.receive(messageIn(a.want(1000)), a, 1001)).cipher).toBe(CHACHA);
    expect(keypairIn(b.receive(messageIn(c.want(1000)), c, 1001)).cipher).toBe(AES);
  });

  it('refuses a peer in the cipher of the other', () => {
    const { a, b, peerC } = three();
    a.machine.setCipher(a.peer, AES);
    expect(failureIn(b.receive(messageIn(a.want(1000)), a, 1001))).toBe('cipher refused');
    b.machine.removePeer(peerC, 1002);
    a.machine.setCipher(a.peer, CHACHA);
    expect(tries(a, b, 10_000).ciphers).toEqual([CHACHA]);
  });

  it('looks into a cipher that nobody may use at most once a second', () => {
    const { a, b } = sides([AES, CHACHA]);
    const messages = [messageIn(a.want(1000)), messageIn(a.activity(a.nextMs)), messageIn(a.activity(a.nextMs))];
    const failures = [20_000, 20_500, 21_000].map((atMs, at) => failureIn(b.receive(messages[at], a, atMs)));
    expect(failures).toEqual(['cipher refused', 'bad initiation', 'cipher refused']);
  });
});

describe('Between the two ciphers', () => {
  it('timestamps are shared: an older initiation is refused in either', () => {
    const { a, b } = sides(['auto', 'auto']);
    const inAes = messageIn(a.want(1000));
    const inChacha = messageIn(a.activity(a.nextMs));
    expect(kinds(b.receive(inChacha, a, 7000))).toContain('install');
    expect(failureIn(b.receive(inAes, a, 7100))).toBe('old timestamp');
    expect(failureIn(b.receive(inChacha, a, 7200))).toBe('old timestamp');
  });

  it('the flood limit is shared', () => {
    const { a, b } = sides(['auto', 'auto']);
    const [inAes, inChacha] = [messageIn(a.want(1000)), messageIn(a.activity(a.nextMs))];
    expect(kinds(b.receive(inAes, a, 7000))).toContain('install');
    expect(failureIn(b.receive(inChacha, a, 7010))).toBe('flood');
  });

  it('a response in one does not answer an initiation in the other', () => {
    const { a, b } = sides(['auto', 'auto']);
    const response = messageIn(b.receive(messageIn(a.want(1000)), a, 1001));
    a.activity(a.nextMs);
    expect(failureIn(a.receive(response, b, 6500))).toBe('unexpected response');
  });
});

/** Requests of the UAPI: every key with its edges, sessions against a slow reference however they are cut, and what nobody should send. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { DeviceChange, PeerChange } from '../../src/control/device-change.ts';
import { parseAddress } from '../../src/control/ip-text.ts';
import { formatErrno, formatSettings } from '../../src/uapi/answer.ts';
import { errnoOf } from '../../src/uapi/errno.ts';
import { LineBudget } from '../../src/uapi/line-budget.ts';
import { LINE_BYTES_MAX } from '../../src/uapi/line-cutter.ts';
import { RequestParser, type UapiRequest } from '../../src/uapi/request-parser.ts';
import { SlowUapi } from '../reference/uapi.ts';
import { ModelDevice } from './support/model-device.ts';
import { session } from './support/sessions.ts';

const A = 'aa'.repeat(32);
const B = 'bb'.repeat(32);
const ZERO = '0'.repeat(64);

/** All requests of a text that comes in one piece. */
function parse(text: string | Uint8Array, budget: LineBudget = new LineBudget()): UapiRequest[] {
  return parsePieces([Buffer.from(text)], new RequestParser(budget));
}

function parsePieces(pieces: readonly Uint8Array[], parser: RequestParser): UapiRequest[] {
  const requests: UapiRequest[] = [];
  for (const piece of pieces) {
    parser.feed(Buffer.from(piece));
    for (let request = parser.next(); request !== null; request = parser.next()) requests.push(request);
  }
  const cut = parser.end();
  return cut === null ? requests : [...requests, cut];
}

/** The change of one good `set` request. */
function change(...lines: readonly string[]): DeviceChange {
  const requests = parse(`set=1\n${lines.map((line) => `${line}\n`).join('')}\n`);
  expect(requests).toHaveLength(1);
  const [request] = requests;
  if (request.kind !== 'set') throw new Error(`expected a good request, got ${JSON.stringify(request)}`);
  return request.change;
}

/** The errno that a `set` request is refused with; the next request must be read as ever. */
function refusal(...lines: readonly string[]): number {
  const requests = parse(`set=1\n${lines.map((line) => `${line}\n`).join('')}\nget=1\n\n`);
  expect(requests).toMatchObject([{ kind: 'refused', operation: 'set', isLast: false }, { kind: 'get' }]);
  const [request] = requests;
  return request.kind === 'refused' ? errnoOf(request.error) : 0;
}

function peerChange(...lines: readonly string[]): PeerChange | undefined {
  return change(`public_key=${A}`, ...lines).peers?.[0];
}

const key = (hex: string): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));
const prefix = (address: string, length: number) => ({ address: parseAddress(address), length });

describe('a set request about the device', () => {
  it('may say nothing at all', () => {
    expect(change()).toEqual({ peers: [] });
  });

  it('has a private key, taken as Curve25519 uses it; zeros stand for none', () => {
    const clamped = key(`a8${'aa'.repeat(30)}6a`);
    expect(change(`private_key=${A}`).privateKey).toEqual(clamped);
    expect(change(`private_key=${A.toUpperCase()}`).privateKey).toEqual(clamped);
    expect(change(`private_key=${ZERO}`).privateKey).toBeNull();
    expect(change(`private_key=${A}`, `private_key=${ZERO}`).privateKey).toBeNull();
    for (const text of ['', 'aa', A.slice(1), `${A}a`, `${A.slice(1)}g`, `${A.slice(1)} `, `-${A.slice(1)}`])
      expect(refusal(`private_key=${text}`)).toBe(22);
  });

  it('has a port of 0 to 65535', () => {
    expect(change('listen_port=51820').listenPort).toBe(51_820);
    expect(change('listen_port=1', 'listen_port=000').listenPort).toBe(0);
    for (const text of ['', '65536', '-1', '+1', '1.0', '0x1', ' 1', '1 ', '1=1', '9'.repeat(1_000), '１'])
      expect(refusal(`listen_port=${text}`)).toBe(22);
  });

  it('has a mark of 32 bits', () => {
    expect(change('fwmark=4294967295').fwmark).toBe(0xffff_ffff);
    expect(change('fwmark=0').fwmark).toBe(0);
    for (const text of ['', '4294967296', '0xca6c', 'off']) expect(refusal(`fwmark=${text}`)).toBe(22);
  });

  it('may replace all peers', () => {
    expect(change('replace_peers=true').replacePeers).toBe(true);
    for (const text of ['', 'false', 'TRUE', '1']) expect(refusal(`replace_peers=${text}`)).toBe(22);
  });
});

describe('a set request about a peer', () => {
  it('names it, once or again', () => {
    expect(change(`public_key=${A}`, `public_key=${B}`, `public_key=${A.toUpperCase()}`).peers).toEqual(
      [A, B, A].map((text) => ({ publicKey: key(text) })),
    );
    expect(change(`public_key=${ZERO}`).peers).toHaveLength(1);
    for (const text of ['', 'a', `${A}a`]) expect(refusal(`public_key=${text}`)).toBe(22);
  });

  it('may remove it, or leave it alone where there is none', () => {
    expect(peerChange('remove=true')).toEqual({ publicKey: key(A), remove: true });
    expect(peerChange('update_only=true')).toEqual({ publicKey: key(A), updateOnly: true });
    for (const name of ['remove', 'update_only', 'replace_allowed_ips'])
      for (const text of ['', 'false', 'yes']) expect(refusal(`public_key=${A}`, `${name}=${text}`)).toBe(22);
  });

  it('has a preshared key; zeros stand for none', () => {
    expect(peerChange(`preshared_key=${B}`)?.presharedKey).toEqual(key(B));
    expect(peerChange(`preshared_key=${B}`, `preshared_key=${ZERO}`)?.presharedKey).toBeNull();
    expect(refusal(`public_key=${A}`, 'preshared_key=')).toBe(22);
  });

  it('has a numeric endpoint', () => {
    const endpointOf = (text: string) => peerChange(`endpoint=${text}`)?.endpoint;
    expect(endpointOf('192.0.2.1:51820')).toEqual({ address: '192.0.2.1', port: 51_820 });
    expect(endpointOf('[2001:db8::1]:1')).toEqual({ address: '2001:db8::1', port: 1 });
    expect(endpointOf('[fe80::1%eth0.7]:1')).toEqual({ address: 'fe80::1%eth0.7', port: 1 });
    expect(endpointOf('[fe80::1%3]:1')).toEqual({ address: 'fe80::1%3', port: 1 });
    const bad = [
      '',
      '192.0.2.1',
      '192.0.2.1:',
      '192.0.2.1:0',
      '192.0.2.1:65536',
      '[192.0.2.1]:1',
      '2001:db8::1:1',
      '[::1]',
    ];
    const worse = [
      '[]:1',
      '[::1%]:1',
      '[::1%a/b]:1',
      '[::1%1%2]:1',
      '[fe80::1%..]:1',
      'vpn.example.com:1',
      '192.0.2.01:1',
      '::1',
    ];
    for (const text of [...bad, ...worse]) expect(refusal(`public_key=${A}`, `endpoint=${text}`)).toBe(22);
  });

  it('has a persistent keepalive of 0 to 65535 seconds', () => {
    expect(peerChange('persistent_keepalive_interval=25')?.persistentKeepaliveSeconds).toBe(25);
    expect(peerChange('persistent_keepalive_interval=0')?.persistentKeepaliveSeconds).toBe(0);
    for (const text of ['', 'off', '65536'])
      expect(refusal(`public_key=${A}`, `persistent_keepalive_interval=${text}`)).toBe(22);
  });

  it('gives and takes prefixes in order, without their host bits', () => {
    expect(peerChange('allowed_ip=10.1.2.3/8', 'allowed_ip=-10.0.0.0/8', 'allowed_ip=fd00::1/64')?.allowedIps).toEqual([
      { prefix: prefix('10.0.0.0', 8), remove: false },
      { prefix: prefix('10.0.0.0', 8), remove: true },
      { prefix: prefix('fd00::', 64), remove: false },
    ]);
    const bad = [
      '',
      '-',
      '10.0.0.0',
      '10.0.0.0/33',
      '::/129',
      '10.0.0.0/08',
      '10.0.0.0/+8',
      '+10.0.0.0/8',
      '--10.0.0.0/8',
    ];
    for (const text of [...bad, '10.0.0/8', 'fe80::1%1/64', '10.0.0.0/8/8', '10.0.0.0/', ' 10.0.0.0/8'])
      expect(refusal(`public_key=${A}`, `allowed_ip=${text}`)).toBe(22);
  });

  it('replaces prefixes at its place: those named before leave their former peers all the same', () => {
    expect(peerChange('replace_allowed_ips=true', 'allowed_ip=::/0')).toMatchObject({
      replaceAllowedIps: true,
      allowedIps: [{}],
    });
    expect(change(`public_key=${A}`, 'update_only=true', 'allowed_ip=::/0', 'replace_allowed_ips=true').peers).toEqual([
      { publicKey: key(A), updateOnly: true, allowedIps: [{ prefix: prefix('::', 0), remove: false }] },
      { publicKey: key(A), updateOnly: true, replaceAllowedIps: true },
    ]);
    const removed = change(
      `public_key=${A}`,
      'allowed_ip=::/0',
      'remove=true',
      'allowed_ip=::/1',
      'replace_allowed_ips=true',
    );
    expect(removed.peers).toMatchObject([{ allowedIps: [{}] }, { remove: true, allowedIps: [{}] }]);
  });

  it('speaks version 1', () => {
    expect(peerChange('protocol_version=1')).toEqual({ publicKey: key(A) });
    for (const text of ['', '0', '2', '01']) expect(refusal(`public_key=${A}`, `protocol_version=${text}`)).toBe(22);
  });
});

describe('a bad request', () => {
  it('has a key that nobody knows, or that is out of its place: EINVAL', () => {
    for (const line of [
      'x=1',
      '=',
      '=true',
      '__proto__=true',
      'constructor=1',
      'remove=true',
      'allowed_ip=::/0',
      'errno=0',
    ])
      expect(refusal(line)).toBe(22);
    for (const line of ['private_key=', 'listen_port=1', 'fwmark=1', 'replace_peers=true', 'last_handshake_time_sec=1'])
      expect(refusal(`public_key=${A}`, line)).toBe(22);
  });

  it('has a line without =: EPROTO', () => {
    for (const line of ['x', 'listen_port', ' ', '\u0000', A, 'ü']) expect(refusal(line)).toBe(71);
  });

  it('is told by its first bad line', () => {
    expect(refusal('listen_port=1', 'x', 'y=')).toBe(71);
    expect(refusal('y=', 'x')).toBe(22);
  });

  it('says which line was bad, and never a key', () => {
    const messages = (text: string) =>
      parse(text).map((request) => (request.kind === 'refused' ? request.error.message : ''));
    expect(messages('set=1\nfwmark=1\nlisten_port=x\n\n')).toEqual([
      'line 2 of the request: expected listen_port from 0 to 65535, got "x"',
    ]);
    for (const name of ['private_key', 'preshared_key', 'endpoint', 'allowed_ip', A, `${A}=${A}`])
      for (const text of [`set=1\npublic_key=${B}\n${name}=${A}x\n\n`, `set=1\n${name}=${A}x\n\n`, `${name}=${A}\n`])
        expect(messages(text).join()).not.toContain('aaaaaaaaaa');
  });

  it('has more after get=1 than an empty line: EINVAL, and the end', () => {
    for (const text of ['get=1\nx\n\n', 'get=1\n\r\n', 'get=1\nget=1\n\n'])
      expect(parse(`${text}get=1\n\n`)).toMatchObject([
        { kind: 'refused', operation: 'get', error: { errno: 22 }, isLast: true },
      ]);
  });

  it('has no operation: the end, without an answer', () => {
    for (const text of ['\n', 'get\n', 'get=1 \n', 'GET=1\n', 'set=2\n', 'set=1\r\n', 'errno=0\n', '\ufeffget=1\n'])
      expect(parse(`${text}get=1\n\n`)).toMatchObject([{ kind: 'refused', operation: null, isLast: true }]);
  });

  it('is cut off: EPROTO', () => {
    expect(parse(`set=1\npublic_key=${A}\n`)).toMatchObject([{ operation: 'set', error: { errno: 71 } }]);
    expect(parse('set=1\nlisten_port=')).toMatchObject([{ operation: 'set', error: { errno: 71 } }]);
    expect(parse('get=1\n')).toMatchObject([{ operation: 'get', error: { errno: 71 } }]);
    expect(parse('get')).toMatchObject([{ operation: null }]);
    expect(parse('')).toEqual([]);
  });

  it('has a line longer than lines may be: EIO, and the end, however it comes', () => {
    const [head, tail] = [`set=1\nlisten_port=`, '1'.repeat(LINE_BYTES_MAX)];
    expect(parse(`${head}${tail}\n\n`)).toMatchObject([{ operation: 'set', error: { errno: 5 }, isLast: true }]);
    expect(parse(`${head}${tail}`)).toMatchObject([{ operation: 'set', error: { errno: 5 }, isLast: true }]);
    const pieces = [...Buffer.from(`${head}${tail}`)].map((byte) => Uint8Array.of(byte));
    expect(parsePieces(pieces, new RequestParser(new LineBudget()))).toMatchObject([
      { error: { errno: 5 }, isLast: true },
    ]);
    expect(parse(`set=1\nlisten_port=${'0'.repeat(LINE_BYTES_MAX - 12)}\n\n`)).toMatchObject([{ kind: 'set' }]);
  });

  it('has more lines than all requests together may have: ENOMEM, and the lines are free again', () => {
    const budget = new LineBudget(3);
    const waiting = new RequestParser(budget);
    waiting.feed(Buffer.from('set=1\nfwmark=1\nfwmark=2\n'));
    expect(waiting.next()).toBeNull();
    const refused = { kind: 'refused', operation: 'set', error: { errno: 12 }, isLast: false };
    expect(parse('set=1\nfwmark=1\nfwmark=1\n\nset=1\nfwmark=1\n\n', budget)).toMatchObject([refused, { kind: 'set' }]);
    expect(waiting.end()).toMatchObject({ error: { errno: 71 } });
    expect(parse('set=1\nfwmark=1\nfwmark=1\nfwmark=1\n\n'.repeat(3), budget).map(({ kind }) => kind)).toEqual([
      'set',
      'set',
      'set',
    ]);
  });
});

/** Answers a session piece by piece, as a connection does. */
function answers(pieces: readonly Uint8Array[], device: ModelDevice): string {
  let text = '';
  for (const request of parsePieces(pieces, new RequestParser(new LineBudget()))) {
    if (request.kind === 'set') device.configure(request.change);
    if (request.kind === 'get')
      for (const piece of formatSettings(device.settings())) text += Buffer.from(piece).toString();
    if (request.kind !== 'refused') text += formatErrno(0);
    else if (request.operation !== null)
      text += formatErrno((request.operation === 'set' ? -1 : 1) * errnoOf(request.error));
  }
  return text;
}

function cut(bytes: Uint8Array, lengths: Iterator<number>): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = lengths.next().value ?? 1;
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

const lengths = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 90 }), fc.constant(65_536));

function lastAnswer(text: string): string {
  return text.split('\n\n').at(-2) ?? '';
}

describe('a session', () => {
  it('is answered as the slow reference answers it, wherever it is cut', () => {
    let goodCount = 0;
    fc.assert(
      fc.property(session, fc.infiniteStream(lengths), (text, cuts) => {
        const answer = answers(cut(Buffer.from(text), cuts), new ModelDevice());
        expect(answer).toBe(new SlowUapi().answer(text));
        goodCount += answer.split('errno=0\n').length - 1;
      }),
      { numRuns: 2_000 },
    );
    // Each session has one good request at its end; many others are good, too.
    expect(goodCount).toBeGreaterThan(4_000);
  });

  it('shows what another device takes as its own: the same again', () => {
    fc.assert(
      fc.property(session, (text) => {
        const shown = lastAnswer(answers([Buffer.from(text)], new ModelDevice()));
        const taken = shown.split('\n').filter((line) => line !== '' && !/^(last_handshake|[tr]x_|errno)/.test(line));
        const again = `set=1\n${taken.map((line) => `${line}\n`).join('')}\nget=1\n\n`;
        expect(lastAnswer(answers([Buffer.from(again)], new ModelDevice()))).toBe(shown);
      }),
      { numRuns: 500 },
    );
  });

  it('of any bytes is read to its end or refused', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 500 }),
      session.map((text) => Uint8Array.from(Buffer.from(text))),
    );
    const damaged = fc.tuple(bytes, fc.nat(), fc.nat({ max: 255 })).map(([good, at, byte]) => {
      return good.length === 0 ? good : good.with(at % good.length, byte);
    });
    fc.assert(
      fc.property(fc.oneof(bytes, damaged), fc.infiniteStream(lengths), (piece, cuts) => {
        const budget = new LineBudget(1_000);
        for (const request of parsePieces(cut(piece, cuts), new RequestParser(budget)))
          if (request.kind === 'refused') expect([5, 12, 22, 71]).toContain(errnoOf(request.error));
        // Nothing is left behind: all lines are there for the next.
        expect(parse(`set=1\n${'fwmark=1\n'.repeat(1_000)}\n`, budget)).toMatchObject([{ kind: 'set' }]);
      }),
      { numRuns: 300 },
    );
  });

  it('leaves no key behind: what came in is zeroed, and so is what was refused', () => {
    const parser = new RequestParser(new LineBudget());
    const chunk = Buffer.from(
      `set=1\nprivate_key=${A}\nx\n\nset=1\nprivate_key=${B}\n\nset=1\nprivate_key=${B.slice(1)}`,
    );
    parser.feed(chunk);
    const requests: (UapiRequest | null)[] = [parser.next(), parser.next(), parser.next()];
    expect(requests).toMatchObject([{ kind: 'refused' }, { kind: 'set' }, null]);
    expect(chunk.every((byte) => byte === 0)).toBe(true);
  });
});

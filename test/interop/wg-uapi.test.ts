/**
 * The same bytes to gigatun's UAPI socket and to wireguard-go's: what one refuses the other refuses, with the same number, and
 * what one takes the other takes, and shows alike. Where gigatun differs on purpose, both answers stand here.
 * See support/wg-subjects.ts for the scene; the interfaces are down, so that no handshake disturbs.
 */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { Subject } from '../support/wg-subjects.ts';

const A = 'aa'.repeat(32);
const B = '0b'.repeat(32);
const ZERO = '0'.repeat(64);
const PEER = `public_key=${A}`;

tunnelSuite('the UAPI of gigatun and of wireguard-go', ['wg', 'wireguard-go'], () => {
  let lab: Lab;
  let ours: Subject;
  let theirs: Subject;

  beforeAll(async () => {
    lab = new Lab();
    [ours, theirs] = await Promise.all([Subject.open(lab, 'gigatun'), Subject.open(lab, 'wireguard-go')]);
  });

  afterAll(async () => {
    await Promise.all([ours.close(), theirs.close()]);
    lab.close();
  });

  beforeEach(async () => {
    const fresh = `set=1\nprivate_key=${ZERO}\nlisten_port=0\nfwmark=0\nreplace_peers=true\n\n`;
    expect(await both(fresh)).toBe('errno=0\n\n');
  });

  /** What both answer; peers and prefixes in one order. */
  async function both(...texts: string[]): Promise<string> {
    const [answer, reference] = await Promise.all([ours.exchange(...texts), theirs.exchange(...texts)]);
    expect(sorted(answer), JSON.stringify(texts)).toBe(sorted(reference));
    return answer;
  }

  /** The errno of a request with these lines, from both. */
  async function errnoOf(...lines: string[]): Promise<number> {
    const text = `set=1\n${lines.map((line) => `${line}\n`).join('')}\n`;
    const answers = await Promise.all([ours.exchange(text), theirs.exchange(text)]);
    const [errno, reference] = answers.map((answer) => Number(/^errno=(-?\d+)\n\n/.exec(answer)?.[1]));
    expect(errno, lines.join(' | ')).toBe(reference);
    return errno;
  }

  const shown = (): Promise<string> => both('get=1\n\n');

  it.each([
    [`private_key=${A}`, 'listen_port=1820', 'fwmark=4294967295'],
    [`private_key=${A.toUpperCase()}`, `private_key=${ZERO}`],
    ['listen_port=00077', 'fwmark=0'],
    [PEER],
    [PEER, `preshared_key=${B}`, 'endpoint=192.0.2.1:51820', 'persistent_keepalive_interval=25', 'protocol_version=1'],
    [
      PEER,
      'endpoint=[2001:db8:0:0::1]:1',
      'allowed_ip=10.1.2.3/8',
      'allowed_ip=fd00::1/64',
      'allowed_ip=::ffff:1.2.3.4/120',
    ],
    [PEER, 'endpoint=192.0.2.1:0051820', 'allowed_ip=0.0.0.0/0', 'allowed_ip=::/0'],
    [PEER, 'allowed_ip=10.0.0.0/8', `public_key=${B}`, 'allowed_ip=10.0.0.0/8'],
    [PEER, 'allowed_ip=10.0.0.0/8', `public_key=${B}`, 'allowed_ip=10.0.0.0/8', 'replace_allowed_ips=true'],
    [PEER, 'allowed_ip=10.0.0.0/8', 'replace_allowed_ips=true', 'allowed_ip=10.0.0.0/9'],
    [PEER, `public_key=${B}`, PEER, 'remove=true', 'allowed_ip=10.0.0.0/8'],
    [PEER, 'remove=true', PEER, 'allowed_ip=10.0.0.0/8'],
    [PEER, 'update_only=true', 'allowed_ip=10.0.0.0/8'],
    [PEER, PEER, 'update_only=true', 'allowed_ip=10.0.0.0/8'],
    [`private_key=${A}`, `public_key=${ZERO}`],
    [PEER, 'allowed_ip=10.0.0.0/8', 'allowed_ip=10.0.0.0/8', `preshared_key=${ZERO}`],
    [`${PEER}\r`, 'allowed_ip=10.0.0.0/8\r'],
  ])('takes and shows alike: %s', async (...lines) => {
    expect(await errnoOf(...lines)).toBe(0);
    await shown();
  });

  it('treats a peer with its own key alike, whichever came first', async () => {
    const own = generatePrivateKey();
    const [privateKey, publicKey] = [own, publicKeyOf(own)].map((key) => Buffer.from(key).toString('hex'));
    expect(await errnoOf(`private_key=${privateKey}`, `public_key=${publicKey}`, 'allowed_ip=::/0', PEER)).toBe(0);
    expect(await shown()).not.toContain(publicKey);
    expect(await errnoOf(`private_key=${ZERO}`, `public_key=${publicKey}`, 'allowed_ip=::/0')).toBe(0);
    expect(await shown()).toContain(publicKey);
    expect(await errnoOf(`private_key=${privateKey}`)).toBe(0);
    expect(await shown()).not.toContain(publicKey);
  });

  const BAD_DEVICE_LINES = [
    ...['private_key=', 'private_key=aa', `private_key=${A}a`, `private_key=${A.slice(1)}g`, `private_key=${A} `],
    ...[
      'listen_port=',
      'listen_port=65536',
      'listen_port=-1',
      'listen_port=+1',
      'listen_port=0x1',
      'listen_port=1 ',
      'listen_port=1=1',
    ],
    ...[
      'fwmark=',
      'fwmark=4294967296',
      'fwmark=0x1',
      'fwmark=off',
      'replace_peers=',
      'replace_peers=false',
      'replace_peers=True',
    ],
    ...[
      'x=1',
      '=',
      '=true',
      'remove=true',
      'allowed_ip=::/0',
      'errno=0',
      'listen_port =1',
      ' listen_port=1',
      'public_key=',
      'public_key=a',
    ],
    ...['x', ' ', 'listen_port', '\u0000', A],
  ];
  it.each(BAD_DEVICE_LINES)('refuses with the same number: %j', async (line) => {
    expect(await errnoOf(line)).toBe(line.includes('=') ? -22 : -71);
    expect(await shown()).toBe('errno=0\n\n');
  });

  const BAD_PEER_LINES = [
    ...[
      'private_key=',
      'listen_port=1',
      'replace_peers=true',
      'x=1',
      'last_handshake_time_sec=1',
      'tx_bytes=0',
      'public_key=1',
    ],
    ...[
      'remove=',
      'remove=false',
      'update_only=1',
      'replace_allowed_ips=',
      'protocol_version=0',
      'protocol_version=2',
      'protocol_version=',
    ],
    ...[
      'preshared_key=',
      `preshared_key=${A.slice(2)}`,
      'persistent_keepalive_interval=65536',
      'persistent_keepalive_interval=off',
    ],
    ...[
      'endpoint=',
      'endpoint=192.0.2.1',
      'endpoint=192.0.2.1:',
      'endpoint=192.0.2.1:65536',
      'endpoint=[192.0.2.1]:1',
      'endpoint=::1:1',
    ],
    ...[
      'endpoint=vpn.example.com:1',
      'endpoint=192.0.2.01:1',
      'endpoint=[::1]',
      'endpoint=[]:1',
      'endpoint=192.0.2.1:-1',
    ],
    ...['allowed_ip=', 'allowed_ip=10.0.0.0', 'allowed_ip=10.0.0.0/33', 'allowed_ip=::/129', 'allowed_ip=10.0.0/8'],
    ...[
      'allowed_ip=10.0.0.0/8/8',
      'allowed_ip=+10.0.0.0/8',
      'allowed_ip=10.0.0.0/-1',
      'allowed_ip= 10.0.0.0/8',
      'allowed_ip=--::/0',
      'x',
    ],
  ];
  it.each(BAD_PEER_LINES)('refuses of a peer with the same number: %j', async (line) => {
    expect(await errnoOf(PEER, line)).toBe(line.includes('=') ? -22 : -71);
  });

  it.each([
    '\n',
    'x\n',
    'get=2\n\n',
    'set=1\r\n\r\n',
    'get',
    'get=',
    ' get=1\n\n',
    '\u0000\n',
    'GET / HTTP/1.1\r\n\r\n',
  ])('hangs up alike on %j', async (text) => {
    expect(await both(text)).toBe('');
  });

  it('answers several requests of one connection alike', async () => {
    const answers = await both(`set=1\n${PEER}\n\n`, 'get=1\n\n', 'set=1\nfwmark=7\n\n', 'get=1\n\n');
    expect(answers.match(/errno=0\n\n/g)).toHaveLength(4);
  });

  it('differs on purpose: requests that are sent before the answer to the last are answered, too', async () => {
    const text = 'set=1\nfwmark=7\n\nget=1\n\n';
    expect(await ours.exchange(text)).toBe('errno=0\n\nfwmark=7\nerrno=0\n\n');
    expect(await theirs.exchange(text)).toBe('errno=0\n\n');
  });

  it('differs on purpose: a bad request changes nothing at all, and does not end the connection', async () => {
    const text = 'set=1\nfwmark=7\nlisten_port=x\n\nget=1\n\n';
    expect(await ours.exchange(text)).toBe('errno=-22\n\nerrno=0\n\n');
    expect(await theirs.exchange(text)).toBe('errno=-22\n\n');
    expect(await theirs.exchange('get=1\n\n')).toContain('fwmark=7\n');
  });

  it('differs on purpose: a request that is cut off changes nothing', async () => {
    expect(await ours.exchange('set=1\nfwmark=7\n')).toBe('errno=-71\n\n');
    expect(await theirs.exchange('set=1\nfwmark=7\n')).toBe('errno=0\n\n');
    expect(await ours.exchange('get=1\n\n')).toBe('errno=0\n\n');
  });

  it('differs on purpose: the number of a refused get is positive, as wg wants it', async () => {
    expect(await ours.exchange('get=1\nx\n')).toBe('errno=22\n\n');
    expect(await theirs.exchange('get=1\nx\n')).toBe('errno=-22\n\n');
  });

  it('differs on purpose: port 0 is no endpoint', async () => {
    expect(await ours.exchange(`set=1\n${PEER}\nendpoint=192.0.2.1:0\n\n`)).toBe('errno=-22\n\n');
    expect(await theirs.exchange(`set=1\n${PEER}\nendpoint=192.0.2.1:0\n\n`)).toBe('errno=0\n\n');
  });

  it('takes single prefixes away, which wireguard-go does from 2025 on', async () => {
    const text = `set=1\n${PEER}\nallowed_ip=10.0.0.0/8\nallowed_ip=::/0\nallowed_ip=-10.0.0.0/8\nallowed_ip=-10.0.0.0/9\n\n`;
    expect(await ours.exchange(text)).toBe('errno=0\n\n');
    expect((await ours.exchange('get=1\n\n')).match(/allowed_ip=.*/g)).toEqual(['allowed_ip=::/0']);
    await ours.exchange(`set=1\n${PEER}\nallowed_ip=10.0.0.0/8\npublic_key=${B}\nallowed_ip=-10.0.0.0/8\n\n`);
    expect((await ours.exchange('get=1\n\n')).match(/allowed_ip=.*/g)).toEqual([
      'allowed_ip=::/0',
      'allowed_ip=10.0.0.0/8',
    ]);
    expect([-22, 0]).toContain(Number(/^errno=(-?\d+)/.exec(await theirs.exchange(text))?.[1]));
  });
});

/** Sections of peers in one order, and each one's prefixes; without a port that the system has chosen. */
function sorted(text: string): string {
  const [, answers = '', end = ''] =
    /^(.*?)(errno=-?\d+\n\n)?$/s.exec(text.replaceAll(/^listen_port=\d{5}\n/gm, '')) ?? [];
  const parts = answers.split(/^(?=public_key=)/m);
  const peers = parts.filter((part) => part.startsWith('public_key='));
  const device = parts.filter((part) => !part.startsWith('public_key='));
  return [...device, ...peers.map(sortedPrefixes).toSorted(), end].join('');
}

function sortedPrefixes(peer: string): string {
  const lines = peer.split('\n');
  const prefixes = lines.filter((line) => line.startsWith('allowed_ip='));
  return [...lines.filter((line) => !prefixes.includes(line)), ...prefixes.toSorted()].join('\n');
}

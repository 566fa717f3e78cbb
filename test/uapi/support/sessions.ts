/** Random sessions of a UAPI client: requests good and bad, about few peers and prefixes, so that they meet. */
import fc from 'fast-check';
import { publicKeyOf } from '../../../src/control/key-text.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const PRIVATE_KEYS = [7, 8].map((byte) => new Uint8Array(32).fill(byte));
/** Two of them are the device's own at times. */
const PUBLIC_KEYS = [...PRIVATE_KEYS.map(publicKeyOf), new Uint8Array(32).fill(9), new Uint8Array(32)].map(hex);
const ZERO = '0'.repeat(64);

/** Nearly always good, for a request is bad by one bad line. */
function mostly(good: fc.Arbitrary<string>, bad: readonly string[]): fc.Arbitrary<string> {
  return fc.oneof({ weight: 30, arbitrary: good }, { weight: 1, arbitrary: fc.constantFrom(...bad) });
}

/** Texts that stand in one line with blanks between them. */
function oneOf(words: string): fc.Arbitrary<string> {
  return fc.constantFrom(...words.split(' '));
}

function number(most: number): fc.Arbitrary<string> {
  const good = fc.oneof(fc.integer({ min: 0, max: most }).map(String), fc.constantFrom('0', '007', `${most}`));
  return mostly(good, [`${most + 1}`, '', '-1', '1e3', '9'.repeat(400)]);
}

const prefix = mostly(oneOf('10.0.0.0/8 10.1.2.3/8 0.0.0.0/0 1.2.3.4/32 ::/0 fd00::1/64 ::ffff:1.2.3.4/128'), [
  ...['10.0.0.0', '10.0.0.0/33', '10.0.0/8', '010.0.0.0/8', '10.0.0.0/8/8', 'a'],
  ...['::/129', '::/08', '::/', '/8', 'fe80::1%1/64'],
]);

const endpoint = mostly(oneOf('192.0.2.1:1 192.0.2.1:0051820 [2001:db8::1]:65535'), [
  ...['192.0.2.1', ':1', '192.0.2.1:0', '192.0.2.1:65536', '1.2.3:4', 'host:1'],
  ...['[192.0.2.1]:1', '::1:1', '[::1]', '[::1]:-1'],
]);

const switchValue = mostly(fc.constant('true'), ['false', 'True', '1', '']);

const secret = mostly(
  fc.oneof(fc.uint8Array({ minLength: 32, maxLength: 32 }).map(hex), fc.constantFrom(ZERO, 'AB'.repeat(32))),
  ['', 'a', '0'.repeat(63), '0'.repeat(65), `${'0'.repeat(63)}g`, `-${'0'.repeat(63)}`],
);

const line = (key: string, value: fc.Arbitrary<string>): fc.Arbitrary<string> => value.map((text) => `${key}=${text}`);

const rubbish = fc.oneof(
  fc.constantFrom(
    'x',
    '=',
    '=true',
    'allowed_ips=::/0',
    'PRIVATE_KEY=1',
    '__proto__=true',
    'listen_port',
    'remove=true=true',
    'listen_port =1',
    'get=1',
  ),
  fc.string({ minLength: 1, maxLength: 20 }).filter((text) => !/[\n\r]/.test(text)),
);

const deviceLine = fc.oneof(
  { weight: 4, arbitrary: line('listen_port', number(65_535)) },
  { weight: 4, arbitrary: line('fwmark', number(0xffff_ffff)) },
  { weight: 2, arbitrary: line('replace_peers', switchValue) },
);

const peerLine = fc.oneof(
  { weight: 10, arbitrary: line('allowed_ip', prefix) },
  {
    weight: 4,
    arbitrary: line(
      'allowed_ip',
      prefix.map((text) => `-${text}`),
    ),
  },
  { weight: 2, arbitrary: line('replace_allowed_ips', switchValue) },
  { weight: 2, arbitrary: line('endpoint', endpoint) },
  { weight: 2, arbitrary: line('preshared_key', secret) },
  { weight: 2, arbitrary: line('persistent_keepalive_interval', number(65_535)) },
  { weight: 1, arbitrary: line('remove', switchValue) },
  { weight: 1, arbitrary: mostly(fc.constant('protocol_version=1'), ['protocol_version=2', 'listen_port=1']) },
);

const privateKeyLine = line('private_key', fc.oneof(fc.constantFrom(...PRIVATE_KEYS.map(hex)), secret));

const section = fc
  .tuple(
    fc.constantFrom(...PUBLIC_KEYS),
    fc.constantFrom([], [], ['update_only=true']),
    fc.array(peerLine, { maxLength: 6 }),
  )
  .map(([key, updateOnly, lines]) => [`public_key=${key}`, ...updateOnly, ...lines]);

/** Lines of a `set` request; one in eight has a line of rubbish somewhere. */
const setLines = fc
  .tuple(
    fc.option(privateKeyLine, { freq: 3 }),
    fc.array(deviceLine, { maxLength: 3 }),
    fc.array(section, { maxLength: 4 }),
    fc.option(fc.tuple(rubbish, fc.nat({ max: 20 })), { freq: 8 }),
  )
  .map(([privateKey, device, sections, bad]) => {
    const lines = [...(privateKey === null ? [] : [privateKey]), ...device, ...sections.flat()];
    if (bad !== null) lines.splice(Math.min(bad[1], lines.length), 0, bad[0]);
    return lines;
  });

/** One request with its empty line; lines of a `set` may end in a carriage return as well. */
export const request: fc.Arbitrary<string> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(setLines, fc.constantFrom('\n', '\n', '\n', '\r\n'))
      .map(([lines, newline]) => `set=1\n${lines.map((text) => `${text}${newline}`).join('')}${newline}`),
  },
  { weight: 3, arbitrary: fc.constant('get=1\n\n') },
);

/** Requests on one connection, `get` last. */
export const session: fc.Arbitrary<string> = fc
  .array(request, { minLength: 1, maxLength: 6 })
  .map((requests) => `${requests.join('')}get=1\n\n`);

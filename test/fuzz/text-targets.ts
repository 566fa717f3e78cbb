/** Fuzz targets of texts: configuration files, addresses, keys, and lines of the control socket. */

import { parseConfig } from '../../src/control/config-file.ts';
import { readAllowedIp, readEndpoint, readFwmark, readKeepalive, readMtu } from '../../src/control/config-values.ts';
import { LineReader, parseAnswer, parseRequest, requestIdOf } from '../../src/control/control-protocol.ts';
import { formatAddress, formatPrefix, parseAddress } from '../../src/control/ip-text.ts';
import { formatKey, parseKey } from '../../src/control/key-text.ts';
import { GigatunError } from '../../src/errors.ts';
import { mutateBytes, mutateText } from './random.ts';
import { expectThat, type Target } from './target.ts';

const PRIVATE_KEY = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';
const PRESHARED_KEY = '/UwcSPg38hW/D9Y3tcS1FOV0K1wuURMbS0sesJEP5ak=';
const CONFIG = `# a file
[Interface]
PrivateKey = ${PRIVATE_KEY}
ListenPort = 51820
Address = 10.77.0.1/24, fd77::1/64
DNS = 10.77.0.9, example.org
MTU = 1420
FwMark = 0xca6c
Table = auto
#gigatun: Lanes = 2
#gigatun: Offloads = none
PostUp = true %i

[Peer]
PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=
PresharedKey = ${PRESHARED_KEY}
AllowedIPs = 10.192.122.3/32, 10.192.124.0/24, fd00::/8
Endpoint = [fd99::2]:51820
PersistentKeepalive = 25
#gigatun: Cipher = auto
`;
const PIECES = [
  ...[
    '[Interface]',
    '[Peer]',
    '[',
    ']',
    '=',
    ' = ',
    ',',
    '#',
    '#gigatun:',
    '\n',
    '\r\n',
    '\u0000',
    '/',
    ':',
    '::',
    '%',
  ],
  ...['PrivateKey', 'AllowedIPs', 'Endpoint', 'MTU', 'Address', 'off', 'auto', '0', '-1', '65536', '4294967296', '0x'],
  ...[
    '1e9',
    '.',
    '::ffff:1.2.3.4',
    'fe80::1%eth0',
    '255.255.255.255/32',
    '/129',
    '__proto__',
    'constructor',
    'é',
    '\ud800',
  ],
];
/** A part of a key that is long enough to be no accident. */
const KEY_PART = 24;

export const configurations: Target = {
  name: 'configurations',
  what: 'mutated configuration files: a configuration or an error CONFIG that names the file and holds no part of a secret key',
  weight: 2,
  open: () => (random) => {
    const text = mutateText(random, CONFIG, PIECES);
    try {
      const { config, warnings } = parseConfig(text, 'fuzz.conf');
      expectThat(config.peers.length <= 10 && config.privateKey.length === 32, 'an odd configuration', () => text);
      checkSecrets(warnings.join('\n'), text);
    } catch (error) {
      if (!(error instanceof GigatunError) || error.code !== 'CONFIG') throw error;
      expectThat(error.message.startsWith('fuzz.conf'), 'an error without a place', () => text);
      checkSecrets(error.message, text);
    }
  },
};

function checkSecrets(said: string, text: string): void {
  for (const key of [PRIVATE_KEY, PRESHARED_KEY])
    for (let at = 0; at + KEY_PART <= key.length; at += 4)
      expectThat(!said.includes(key.slice(at, at + KEY_PART)), `a part of a key was told: ${said}`, () => text);
}

const VALUES = [
  '10.0.0.1',
  'fd00::1',
  '::',
  '::ffff:1.2.3.4',
  '10.0.0.0/8',
  'fe80::/10',
  '[::1]:1',
  'host:65535',
  '0x1f',
  PRIVATE_KEY,
];

export const values: Target = {
  name: 'values',
  what: 'mutated addresses, prefixes, endpoints, numbers and keys: what is read, written and read again is the same',
  weight: 25,
  open: () => (random) => {
    const text = mutateText(random, random.pick(VALUES), PIECES);
    const address = parseAddress(text);
    if (address !== null) {
      const again = parseAddress(formatAddress(address));
      expectThat(again !== null && Buffer.compare(again, address) === 0, 'another address the second time', () => text);
    }
    const key = parseKey(text);
    if (key !== null) expectThat(key.length === 32 && formatKey(key) === text, 'a key in another form', () => text);
    const prefix = readAllowedIp(text);
    if (prefix.ok) {
      const again = readAllowedIp(formatPrefix(prefix.value));
      expectThat(again.ok && formatPrefix(again.value) === formatPrefix(prefix.value), 'another prefix', () => text);
    }
    for (const read of [readFwmark, readKeepalive, readMtu]) {
      const number = read(text);
      expectThat(
        !number.ok || (Number.isInteger(number.value) && number.value >= 0),
        'a number out of range',
        () => text,
      );
    }
    const endpoint = readEndpoint(text);
    expectThat(
      !endpoint.ok || (endpoint.value.port >= 1 && endpoint.value.port <= 65_535),
      'a port out of range',
      () => text,
    );
  },
};

const LINES = [
  '{"id":1,"method":"status"}\n',
  '{"id":"a","method":"stats"}\n{"id":null,"method":"down"}\n',
  '{"id":1,"result":{"peers":[]}}\n',
  '{"id":1,"error":{"code":"BUSY","message":"x"}}\n',
].map((line) => Uint8Array.from(Buffer.from(line)));
const LINE_MAX = 64;

export const controlLines: Target = {
  name: 'control-lines',
  what: 'mutated lines of the control socket, cut anywhere: a request, an answer, or an error PROTOCOL; no line over its limit',
  weight: 12,
  open: () => (random) => {
    const bytes = Buffer.from(mutateBytes(random, random.pick(LINES)));
    const reader = new LineReader(LINE_MAX);
    try {
      const cut = random.below(bytes.length + 1);
      const lines = [bytes.subarray(0, cut), bytes.subarray(cut)].flatMap((part) => reader.push(part));
      expectThat(lines.length === bytes.filter((byte) => byte === 10).length, 'lines were lost', () => bytes);
      for (const line of lines)
        for (const parse of [parseRequest, parseAnswer, requestIdOf]) tolerate(() => parse(line));
    } catch (error) {
      if (!(error instanceof GigatunError) || error.code !== 'PROTOCOL') throw error;
    }
  },
};

function tolerate(action: () => unknown): void {
  try {
    action();
  } catch (error) {
    if (!(error instanceof GigatunError) || error.code !== 'PROTOCOL') throw error;
  }
}

/** The configuration parser: what a file means, what is wrong with it and where, and that nothing can surprise it. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/control/config-file.ts';
import type { TunnelConfig } from '../../src/control/config-types.ts';
import { formatPrefix } from '../../src/control/ip-text.ts';
import { formatKey, publicKeyOf } from '../../src/control/key-text.ts';
import { GigatunError } from '../../src/errors.ts';
import { tunnelConfig } from './support/arbitrary-config.ts';
import { formatConfig } from './support/format-config.ts';

const PRIVATE = 'YAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';
const PEER_1 = 'xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=';
const PEER_2 = 'TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=';
const PSK = 'FpCyhws9cxwWoV4xELtfJvjJN+zQVRPISllRWgeopVE=';
const HEAD = `[Interface]\nPrivateKey = ${PRIVATE}\n`;
const PEER = `[Peer]\nPublicKey = ${PEER_1}\n`;

function parse(text: string): TunnelConfig {
  return parseConfig(text, 'wg0.conf').config;
}

function problemsOf(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    expect(error).toBeInstanceOf(GigatunError);
    expect(error).toHaveProperty('code', 'CONFIG');
    return error instanceof GigatunError ? error.message.split('\n') : [];
  }
  return [];
}

describe('a file', () => {
  it('means what wg-quick would take it to mean', () => {
    const config = parse(`
# a comment
[interface]
 privatekey=${PRIVATE} # another
Address = 10.0.0.1/24, fd00::1/64
ADDRESS = 192.168.5.9
ListenPort = 51820
FwMark = 0xCA6C
MTU = 1380
Table = 1234
DNS = 10.0.0.53, example.com, fd00::53
PostUp = iptables -A FORWARD -i %i -j ACCEPT; echo a=b, c # cut here
PostUp = second
PreDown = third
SaveConfig = TRUE
#gigatun: Lanes = 2 # threads
#gigatun: Memory = 256
#gigatun: Offloads = udp-gro, TUN-TSO

[Peer]
PublicKey = ${PEER_1}
PresharedKey = ${PSK}
AllowedIPs = 10.0.0.2/32
AllowedIPs = 10.1.2.3/16, fd00::2
Endpoint = vpn.example.com:51820
PersistentKeepalive = 25
#gigatun: Offloads = none
#gigatun: Announce = off
[Peer]
PublicKey = ${PEER_2}
AllowedIPs =
Endpoint = [2001:db8::1]:4500
PersistentKeepalive = off
`);
    expect(formatKey(config.privateKey)).toBe(PRIVATE);
    expect(config).toMatchObject({
      listenPort: 51_820,
      fwmark: 0xca6c,
      settings: { lanes: 2, memoryCapBytes: 256e6, offloads: ['tun-tso', 'udp-gro'], txQueueLength: null },
    });
    expect(config.interface.addresses.map(formatPrefix)).toEqual(['10.0.0.1/24', 'fd00::1/64', '192.168.5.9/32']);
    expect(config.interface).toMatchObject({
      mtu: 1_380,
      table: 1_234,
      dnsServers: ['10.0.0.53', 'fd00::53'],
      dnsSearch: ['example.com'],
      saveConfig: true,
      hooks: {
        preUp: [],
        postUp: ['iptables -A FORWARD -i %i -j ACCEPT; echo a=b, c', 'second'],
        preDown: ['third'],
        postDown: [],
      },
    });
    expect(config.peers.map(({ allowedIps }) => allowedIps.map(formatPrefix))).toEqual([
      ['10.0.0.2/32', '10.1.0.0/16', 'fd00::2/128'],
      [],
    ]);
    expect(config.peers[0]).toMatchObject({
      endpoint: { host: 'vpn.example.com', port: 51_820 },
      persistentKeepaliveSeconds: 25,
      offloads: 'none',
      announces: false,
    });
    expect(config.peers[0]?.presharedKey).toEqual(Uint8Array.from(Buffer.from(PSK, 'base64')));
    expect(config.peers[1]).toMatchObject({
      endpoint: { host: '2001:db8::1', port: 4_500 },
      persistentKeepaliveSeconds: 0,
      presharedKey: null,
      offloads: 'auto',
      announces: true,
    });
  });

  it.each([
    ['auto', ['tun-tso', 'tun-uso', 'udp-gso', 'udp-gro']],
    ['NONE', []],
    ['udp-gso,udp-gso', ['udp-gso']],
  ])('takes Offloads = %s', (text, offloads) => {
    expect(parse(`${HEAD}#gigatun: Offloads = ${text}\n`).settings.offloads).toEqual(offloads);
  });

  it('may be short: defaults stand for the rest', () => {
    expect(parse(HEAD)).toMatchObject({
      listenPort: 0,
      fwmark: 0,
      interface: { addresses: [], mtu: null, table: 'auto', dnsServers: [], dnsSearch: [], saveConfig: false },
      settings: { lanes: null, memoryCapBytes: null, offloads: null, announces: null, txQueueLength: null },
      peers: [],
    });
  });

  it('gives each peer the cipher of its own section, of [Interface], or that of WireGuard', () => {
    const choices = (ofInterface: string, ofPeer: string) => {
      const text = `${HEAD}${ofInterface}${PEER}${ofPeer}`;
      return parse(text).peers.map(({ cipher }) => cipher);
    };
    expect(choices('', '')).toEqual(['chacha20-poly1305']);
    expect(choices('#gigatun: Cipher = auto\n', '')).toEqual(['auto']);
    expect(choices('#gigatun: Cipher = auto\n', '#gigatun: Cipher = AES-256-GCM\n')).toEqual(['aes-256-gcm']);
    expect(choices('', '#gigatun: Cipher = auto\n')).toEqual(['auto']);
  });

  it.each([
    ['Windows line ends', HEAD.replaceAll('\n', '\r\n')],
    ['a byte order mark', `\uFEFF${HEAD}`],
    ['tabs and no last newline', `\t[ Interface ]\t\n\tPrivateKey\t=\t${PRIVATE}`],
    ['Peer before Interface', `${PEER}${HEAD}`],
  ])('may have %s', (_, text) => {
    expect(formatKey(parse(text).privateKey)).toBe(PRIVATE);
  });

  it.each([
    ['FwMark = off', { fwmark: 0 }],
    ['FwMark = 4294967295', { fwmark: 4_294_967_295 }],
    ['Table = off', { interface: { table: 'off' } }],
    ['Table = main', { interface: { table: 254 } }],
    ['Table = 0x10', { interface: { table: 16 } }],
    ['ListenPort = 0', { listenPort: 0 }],
    ['MTU = 65456', { interface: { mtu: 65_456 } }],
  ])('takes %s', (line, expected) => {
    expect(parse(`${HEAD}${line}\n`)).toMatchObject(expected);
  });

  it.each([
    ['Endpoint = 192.0.2.1:1', { host: '192.0.2.1', port: 1 }],
    ['Endpoint = [fe80::1%eth0]:65535', { host: 'fe80::1%eth0', port: 65_535 }],
    ['Endpoint = my_host-1.:51820', { host: 'my_host-1.', port: 51_820 }],
    ['Endpoint = münchen.example:51820', { host: 'münchen.example', port: 51_820 }],
  ])('takes %s', (line, endpoint) => {
    expect(parse(`${HEAD}${PEER}${line}\n`).peers[0]?.endpoint).toEqual(endpoint);
  });

  it('may spell a preshared key of zeros, which means none', () => {
    const zeros = Buffer.alloc(32).toString('base64');
    expect(parse(`${HEAD}${PEER}PresharedKey = ${zeros}\n`).peers[0]?.presharedKey).toBeNull();
  });

  it('keeps its meaning through writing and reading', () => {
    fc.assert(
      fc.property(tunnelConfig, (config) => {
        expect(parse(formatConfig(config))).toEqual(config);
      }),
    );
  });
});

describe('a wrong line', () => {
  it.each<[string, number, string]>([
    [
      'Adress = 10.0.0.1/24',
      1,
      'expected a key of this section, got "Adress"; did you mean Address? known here: PrivateKey',
    ],
    ['AllowedIPs = 10.0.0.0/8', 1, 'expected a key of this section, got "AllowedIPs"; known here:'],
    ['Address =', 10, 'expected a value, got nothing; Address:'],
    ['Address = ,10.0.0.1', 11, 'expected a value, got nothing'],
    ['Address = 10.0.0.1/24,   10.0.0.300/24', 26, 'got "10.0.0.300/24"; give a numeric IPv4 or IPv6 address'],
    ['Address = 10.0.0.1/33', 11, 'expected a prefix length from 0 to 32, got 33'],
    ['Address = fd00::1/129', 11, 'expected a prefix length from 0 to 128, got 129'],
    ['  ListenPort   =   65536', 20, 'expected a port from 0 to 65535, got "65536"'],
    ['ListenPort = -1', 14, 'expected a port'],
    ['MTU = 67', 7, 'expected an MTU from 68 to 65456, got "67"'],
    ['FwMark = 4294967296', 10, 'expected "off" or a number up to 0xffffffff'],
    ['Table = 0', 9, 'expected "auto", "off" or a routing table number'],
    ['SaveConfig = yes', 14, 'expected "true" or "false", got "yes"'],
    ['DNS = 10.0.0', 7, 'expected the address of a name server or a domain'],
    ['PostUp =', 9, 'expected a value, got nothing'],
    ['MTU = 1400 ; comment', 7, 'expected an MTU'],
    ['nonsense', 1, 'expected Key = Value, got a line without "="'],
    ['two words = 1', 1, 'expected Key = Value, got no plain word before "="'],
    ['[Interface', 1, 'expected a section as [Interface] or [Peer], got "[Interface"'],
    ['[Peers]', 1, 'expected [Interface] or [Peer], got "Peers"'],
    [
      '#gigatun: Lane = 2',
      11,
      'expected a setting of this section, got "Lane"; did you mean Lanes? known here: Lanes, Memory, Offloads, Announce, TxQueueLength, Cipher',
    ],
    ['#gigatun: Lanes = 65', 19, 'expected "auto" or a number of lanes from 1 to 64, got "65"'],
    ['#gigatun: Memory = 100M', 20, 'expected megabytes from 1 to 1000000, got "100M"'],
    ['#gigatun: Memory = 0', 20, 'expected megabytes from 1 to 1000000, got "0"'],
    [
      '#gigatun: Offloads = tun-tso, gro',
      22,
      'expected auto, none, or some of tun-tso, tun-uso, udp-gso, udp-gro, got "gro"',
    ],
    ['#gigatun: Offloads = tun-tso,', 22, 'got ""'],
    ['#gigatun: Announce = yes', 22, 'expected "on" or "off", got "yes"'],
    ['#gigatun: Cipher = none', 20, 'expected one of auto, chacha20-poly1305, aes-256-gcm, got "none"'],
    ['#gigatun: hello', 11, 'expected Key = Value'],
  ])('%s is refused with line and column', (line, column, text) => {
    const problems = problemsOf(`${HEAD}${line}\n`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`wg0.conf:3:${column}: `);
    expect(problems[0]).toContain(text);
  });

  it.each<[string, number, string]>([
    ['AllowedIPs = +10.0.0.0/8', 14, 'a file states the whole list: leave the + or - away'],
    ['AllowedIPs = 10.0.0.0/8, -fd00::/8', 26, 'a file states the whole list'],
    ['AllowedIPs = 10.0.0.0/8,', 25, 'expected a value'],
    ['AllowedIPs = 10.0.0/8', 14, 'expected a prefix such as'],
    ['Endpoint = 1.2.3.4', 12, 'expected HOST:PORT or [IPV6]:PORT, got "1.2.3.4"'],
    ['Endpoint = fd00::1:51820', 12, 'put the IPv6 address in brackets'],
    ['Endpoint = [1.2.3.4]:51820', 12, 'expected HOST:PORT or [IPV6]:PORT'],
    ['Endpoint = 1.2.3.400:51820', 12, 'give a DNS name or a numeric address'],
    ['Endpoint = a:0', 12, 'expected a port from 1 to 65535, got 0'],
    ['Endpoint = a b:51820', 12, 'expected HOST:PORT'],
    ['#gigatun: Offloads = udp-gro', 22, 'expected one of auto, none, udp-gso, got "udp-gro"'],
    ['PersistentKeepalive = 65536', 23, 'expected "off" or seconds from 0 to 65535'],
    ['PublicKey = abc', 1, 'expected one PublicKey, got a second one (the first is on line 4)'],
    ['#gigatun: Lanes = 2', 11, 'known here: Offloads, Announce, Cipher'],
    ['#gigatun: Lanes = 2', 11, 'expected a setting of this section, got "Lanes"'],
    ['#gigatun: Cipher = aes', 20, 'expected one of auto, chacha20-poly1305, aes-256-gcm, got "aes"'],
  ])('%s is refused in a peer', (line, column, text) => {
    const problems = problemsOf(`${HEAD}${PEER}${line}\n`);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`wg0.conf:5:${column}: `);
    expect(problems[0]).toContain(text);
  });

  it('does not hide the others', () => {
    const problems = problemsOf(`[Interface]\nMTU = x\nTable = y\n${PEER}Endpoint = z\n[Peer]\n`);
    const places = problems.map((problem) => problem.split(': ')[0]);
    expect(places).toEqual(['wg0.conf:1:1', 'wg0.conf:2:7', 'wg0.conf:3:9', 'wg0.conf:6:12', 'wg0.conf:7:1']);
  });

  it('is one of at most fifty that are shown', () => {
    const problems = problemsOf(HEAD + 'Bad = 1\n'.repeat(60));
    expect(problems).toHaveLength(51);
    expect(problems[50]).toBe('wg0.conf: and 10 more');
  });
});

describe('a file as a whole', () => {
  it.each([
    ['', 'expected a section [Interface], got none'],
    ['ListenPort = 1\n', 'expected [Interface] before the first key'],
    ['[Interface]\n', 'expected a PrivateKey in [Interface], got none'],
    [`${HEAD}[Peer]\nEndpoint = a:1\n`, 'expected a PublicKey in [Peer], got none'],
    [`${HEAD}${HEAD}`, 'expected one [Interface], got a second one (the first is on line 1)'],
    [`${HEAD}${PEER}${PEER}`, 'got the PublicKey of the [Peer] on line 3 again; merge the two sections'],
    [`${HEAD}Address = fd00::1/64\nMTU = 1279\n`, 'wg0.conf:4:1: expected an MTU of at least 1280, got 1279'],
    [`[Interface]\nPrivateKey = ${Buffer.alloc(32).toString('base64')}\n`, 'got the key of all zeros'],
  ])('%j is refused', (text, problem) => {
    expect(problemsOf(text).join('\n')).toContain(problem);
  });

  it("leaves a peer with the interface's own key out, and says so", () => {
    const own = formatKey(publicKeyOf(Buffer.from(PRIVATE, 'base64')));
    const { config, warnings } = parseConfig(`${HEAD}[Peer]\nPublicKey = ${own}\n${PEER}`, 'wg0.conf');
    expect(config.peers.map(({ publicKey }) => formatKey(publicKey))).toEqual([PEER_1]);
    expect(warnings).toEqual([expect.stringMatching(/^wg0\.conf:3:1: warning: .*own key/)]);
  });

  it('gives a prefix that two peers name to the later one, and says so', () => {
    const text = `${HEAD}${PEER}AllowedIPs = 10.0.0.0/8, fd00::/8\n[Peer]\nPublicKey = ${PEER_2}\nAllowedIPs = 10.9.9.9/8\n`;
    const { config, warnings } = parseConfig(text, 'wg0.conf');
    expect(config.peers.map(({ allowedIps }) => allowedIps.map(formatPrefix))).toEqual([['fd00::/8'], ['10.0.0.0/8']]);
    expect(warnings).toEqual([expect.stringContaining('10.0.0.0/8 goes to the later [Peer] on line 6')]);
  });

  it('names a prefix twice within a peer without harm', () => {
    const config = parse(`${HEAD}${PEER}AllowedIPs = 10.0.0.0/8, 10.0.0.0/8\n`);
    expect(config.peers[0]?.allowedIps.map(formatPrefix)).toEqual(['10.0.0.0/8']);
  });

  it('is warned of a setting that is only a comment, and of SaveConfig', () => {
    const { config, warnings } = parseConfig(`${HEAD}# gigatun: Lanes = 2\nSaveConfig = true\n`, 'wg0.conf');
    expect(config.settings.lanes).toBeNull();
    expect(warnings).toHaveLength(2);
  });
});

describe('a key', () => {
  it.each([
    ['PrivateKey', PRIVATE.slice(0, 43)],
    ['PrivateKey', `${PRIVATE.slice(0, 42)}x=`],
    ['PrivateKey', ` ${PRIVATE} extra`],
    ['Address', PRIVATE],
    ['FwMark', PRIVATE],
    ['Table', Buffer.from(PRIVATE, 'base64').toString('hex')],
    [PRIVATE.slice(0, -1), 'x'.repeat(50)],
    ['MTU', `[${PRIVATE}]`],
  ])('never stands in a message: %s = …', (name, value) => {
    const message = problemsOf(
      `[Interface]\n${name} = ${value}\n${value}\n[${value}]\n#gigatun: ${value} = ${value}\n`,
    ).join('\n');
    expect(message).not.toBe('');
    expect(message).not.toContain(value.trim().slice(0, 20));
    expect(message).not.toContain(PRIVATE.slice(0, 20));
  });
});

describe('any text', () => {
  const scraps = fc.constantFrom(
    ...[
      '[Interface]',
      '[Peer]',
      'PrivateKey',
      'Address',
      'AllowedIPs',
      'Endpoint',
      '#gigatun:',
      'Lanes',
      'Memory',
      'Cipher',
      '=',
      ',',
      '#',
    ],
    ...[
      '\n',
      '\r',
      ' ',
      '/',
      ':',
      '::',
      '[',
      ']',
      '%',
      '10.0.0.1',
      'fd00::',
      '99999999999',
      PRIVATE,
      '\u0000',
      '\u009b',
    ],
  );
  const texts = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.array(fc.oneof(scraps, fc.string({ maxLength: 3 })), { maxLength: 60 }).map((parts) => parts.join('')),
    tunnelConfig.chain((config) => mutated(formatConfig(config))),
  );

  it('gives a configuration or a GigatunError whose every line names its place', () => {
    fc.assert(
      fc.property(texts, (text) => {
        for (const problem of problemsOf(text)) {
          expect(problem).toMatch(/^wg0\.conf:(\d+:\d+: expected .+, got .+; .+| and \d+ more)$/);
          expect(problem).not.toMatch(/\p{Cc}/u);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('gives places that exist', () => {
    fc.assert(
      fc.property(texts, (text) => {
        const lines = text.split(/\r\n|\n|\r/);
        for (const problem of problemsOf(text)) {
          const [, line, column] = /^wg0\.conf:(\d+):(\d+):/.exec(problem) ?? [];
          if (line === undefined) continue;
          expect(Number(column)).toBeLessThanOrEqual((lines[Number(line) - 1] ?? '').length + 1);
        }
      }),
      { numRuns: 500 },
    );
  });
});

/** A valid text with one stretch replaced by anything. */
function mutated(text: string): fc.Arbitrary<string> {
  return fc
    .tuple(fc.nat(text.length), fc.nat(20), fc.string({ unit: 'binary', maxLength: 10 }))
    .map(([start, length, scrap]) => text.slice(0, start) + scrap + text.slice(start + length));
}

describe('more peers than a device holds', () => {
  const peersText = (count: number): string => {
    const key = Buffer.alloc(32, 1);
    const sections = Array.from({ length: count }, (_, at) => {
      key.writeUInt32BE(at);
      return `[Peer]\nPublicKey = ${key.toString('base64')}\n`;
    });
    return `${HEAD}${sections.join('')}`;
  };

  it('are a problem of the file, with the place of the first that is too many', () => {
    expect(problemsOf(peersText(65_536))).toEqual([]);
    const [problem, ...others] = problemsOf(peersText(65_538));
    expect(problem).toMatch(/^wg0\.conf:131075:\d: expected at most 65536 peers, got 65538; /);
    expect(others).toEqual([]);
  });
});

describe('a line that holds the rest of a key', () => {
  const key = 'yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=';

  it.each([0, 8, 16, 24])(
    'from which the first %i digits are missing is not quoted, whatever it runs into',
    (missing) => {
      const rest = key.slice(missing);
      for (const line of [`[Interfa${rest}`, `[Interface]\nPrivat${rest}`, `[Interface]\nFwMark = ${rest}`])
        expect(() => parseConfig(`${line}\n`, 'x.conf')).toThrow(
          expect.not.objectContaining({ message: expect.stringContaining(rest) }),
        );
    },
  );
});

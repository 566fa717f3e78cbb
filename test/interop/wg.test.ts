/**
 * `wg` itself, every command of it, against gigatun and wireguard-go: the same commands to both, and the same words from both
 * but for what is each one's own (interface names, ports that the system chose, times). See support/wg-subjects.ts for the scene.
 */

import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { formatKey, generatePresharedKey, generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { type Said, Subject, unordered } from '../support/wg-subjects.ts';

const OWN = generatePrivateKey();
const OWN_KEY = formatKey(OWN);
const [PEER_A, PEER_B, PEER_C] = [0, 1, 2].map(() => formatKey(publicKeyOf(generatePrivateKey())));
const PSK = formatKey(generatePresharedKey());
const PORT = 51_820;
const WAIT = { timeout: 10_000, interval: 50 };
/** Binds a UDP port of both families, as another program would. */
const BLOCKER = `for (const type of ['udp4', 'udp6']) require('dgram').createSocket({ type, ipv6Only: type === 'udp6' })
  .bind(+process.argv[1], () => console.log('bound'))`;
const FORMS = [
  ...['public-key', 'private-key', 'listen-port', 'fwmark', 'peers', 'preshared-keys', 'endpoints', 'allowed-ips'],
  ...['latest-handshakes', 'transfer', 'persistent-keepalive', 'dump'],
];

tunnelSuite('wg with gigatun and with wireguard-go', ['wg', 'wireguard-go'], () => {
  let lab: Lab;
  let subjects: readonly [Subject, Subject];

  beforeAll(async () => {
    lab = new Lab();
    subjects = await Promise.all([Subject.open(lab, 'gigatun'), Subject.open(lab, 'wireguard-go')]);
  });

  afterAll(async () => {
    await Promise.all(subjects.map((subject) => subject.close()));
    lab.close();
  });

  /** The same command to both; what gigatun makes `wg` say, after it was found equal to the other's. */
  async function wg(...words: string[]): Promise<Said> {
    const [ours, theirs] = await Promise.all(subjects.map((subject) => subject.wg(words)));
    const plain = ({ code, stdout, stderr }: Said): Said => ({ code, stdout: unordered(stdout), stderr });
    expect(plain(ours), `wg ${words.join(' ')}`).toEqual(plain(theirs));
    return plain(ours);
  }

  async function good(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await wg(...words);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return stdout;
  }

  /** All that can be shown, by each of the forms. */
  async function shownEqual(): Promise<void> {
    for (const form of FORMS) await good('show', 'DEV', form);
    await good('show', 'DEV');
    await good('showconf', 'DEV');
  }

  it('shows a device that nobody has told anything but its port, while it is down', async () => {
    expect((await subjects[0].wg(['show', 'DEV'])).stdout).toBe('interface: DEV\n');
    await good('set', 'DEV', 'listen-port', `${PORT}`);
    expect(await good('show', 'DEV')).toBe(unordered(`interface: DEV\n  listening port: ${PORT}\n`));
    await shownEqual();
  });

  it('shows a port that the system chose when it goes up', async () => {
    await good('set', 'DEV', 'listen-port', '0');
    for (const subject of subjects) {
      subject.up();
      await vi.waitFor(async () => {
        const { stdout } = await subject.wg(['show', 'DEV', 'listen-port']);
        expect(Number(stdout)).toBeGreaterThan(0);
      }, WAIT);
    }
  });

  it('sets the private key, the port and the mark', async () => {
    await good('set', 'DEV', 'private-key', `@${OWN_KEY}\n`, 'listen-port', `${PORT + 1}`, 'fwmark', '0xca6c');
    const shown = await good('show', 'DEV', 'dump');
    expect(shown.trim()).toBe([OWN_KEY, formatKey(publicKeyOf(OWN)), PORT + 1, '0xca6c'].join('\t'));
    await shownEqual();
  });

  it('adds peers, and moves a prefix from one to another', async () => {
    const psk = ['preshared-key', `@${PSK}\n`];
    await good(
      'set',
      'DEV',
      'peer',
      PEER_A,
      ...psk,
      'endpoint',
      '192.0.2.1:51820',
      'allowed-ips',
      '10.0.0.0/8,fd00::/64',
    );
    await good(
      'set',
      'DEV',
      'peer',
      PEER_B,
      'endpoint',
      '[2001:db8::1]:1',
      'allowed-ips',
      '0.0.0.0/0,::/0,192.0.2.0/24',
    );
    await good('set', 'DEV', 'peer', PEER_C, 'allowed-ips', '10.0.0.0/8,10.9.0.0/16,10.9.9.9/32');
    expect(await good('show', 'DEV', 'allowed-ips')).toContain(`${PEER_A}\tfd00::/64\n`);
    expect(await good('show', 'DEV', 'preshared-keys')).toContain(`${PEER_A}\t${PSK}\n`);
    await shownEqual();
  });

  it('shows all interfaces, each under its name', async () => {
    for (const subject of subjects) {
      const { stdout } = await subject.wg(['show', 'interfaces']);
      expect(stdout.trim().split(/\s+/)).toContain('DEV');
      const all = await subject.wg(['show', 'all', 'dump']);
      const own = all.stdout.split('\n').filter((line) => line.startsWith('DEV\t'));
      const alone = await subject.wg(['show', 'DEV', 'dump']);
      expect(own.map((line) => line.slice(4)).toSorted()).toEqual(alone.stdout.trim().split('\n').toSorted());
      expect((await subject.wg(['show', 'all', 'peers'])).stdout).toContain(`DEV\t${PEER_A}\n`);
      expect((await subject.wg([])).stdout).toContain('interface: DEV\n');
    }
  });

  it('replaces, empties and takes away what a peer has', async () => {
    await good('set', 'DEV', 'peer', PEER_B, 'allowed-ips', 'fd00:2::/64', 'endpoint', '192.0.2.2:2');
    await good('set', 'DEV', 'peer', PEER_A, 'preshared-key', '/dev/null');
    await good('set', 'DEV', 'peer', PEER_C, 'allowed-ips', '');
    expect(await good('show', 'DEV', 'allowed-ips')).toContain(`${PEER_C}\t(none)\n`);
    expect(await good('show', 'DEV', 'preshared-keys')).toContain(`${PEER_A}\t(none)\n`);
    await good('set', 'DEV', 'fwmark', 'off');
    await shownEqual();
    await good('set', 'DEV', 'peer', PEER_C, 'remove');
    await good('set', 'DEV', 'peer', PEER_C, 'remove');
    expect(await good('show', 'DEV', 'peers')).not.toContain(PEER_C);
  });

  it('adds and takes single prefixes, where wg has words for it', async () => {
    const plus = await wg('set', 'DEV', 'peer', PEER_C, 'allowed-ips', '+10.3.0.0/16');
    if (plus.code !== 0) {
      expect(plus.stderr).toContain('+10.3.0.0');
      return;
    }
    await good('set', 'DEV', 'peer', PEER_C, 'allowed-ips', '+10.4.0.0/16,-10.3.0.0/16');
    expect(await good('show', 'DEV', 'allowed-ips')).toContain(`${PEER_C}\t10.4.0.0/16\n`);
    await good('set', 'DEV', 'peer', PEER_C, 'remove');
  });

  it('replaces everything, adds to it, and brings it to a file with setconf, addconf and syncconf', async () => {
    const head = `[Interface]\nPrivateKey = ${OWN_KEY}\nListenPort = ${PORT + 2}\nFwMark = 7\n`;
    const a = `[Peer]\nPublicKey = ${PEER_A}\nAllowedIPs = 10.0.0.0/8, ::/0\nEndpoint = 192.0.2.1:3\n`;
    const b = `[Peer]\nPublicKey = ${PEER_B}\nPresharedKey = ${PSK}\nAllowedIPs = 10.5.0.0/16\n`;
    await good('setconf', 'DEV', `@${head}${a}`);
    expect(await good('show', 'DEV', 'peers')).toBe(unordered(`${PEER_A}\n`));
    await shownEqual();
    await good('addconf', 'DEV', `@${b}`);
    await shownEqual();
    expect(await good('show', 'DEV', 'peers')).toBe(unordered(`${PEER_A}\n${PEER_B}\n`));
    await good('syncconf', 'DEV', `@${head}${b}[Peer]\nPublicKey = ${PEER_C}\nAllowedIPs = 10.0.0.0/8\n`);
    await shownEqual();
    expect(await good('show', 'DEV', 'peers')).toBe(unordered(`${PEER_B}\n${PEER_C}\n`));
  });

  it('takes as configuration what showconf gave', async () => {
    for (const subject of subjects) {
      const before = (await subject.wg(['showconf', 'DEV'])).stdout;
      await subject.wg(['setconf', 'DEV', '@[Interface]\n']);
      expect((await subject.wg(['show', 'DEV', 'peers'])).stdout).toBe('');
      expect(await subject.wg(['setconf', 'DEV', `@${before}`])).toMatchObject({ code: 0, stderr: '' });
      expect(unordered((await subject.wg(['showconf', 'DEV'])).stdout)).toBe(unordered(before));
    }
  });

  it('ignores its own key as a peer, and removes the peer whose private key it is given', async () => {
    await good('set', 'DEV', 'peer', formatKey(publicKeyOf(OWN)), 'allowed-ips', '10.77.0.0/16');
    expect(await good('show', 'DEV', 'peers')).not.toContain(formatKey(publicKeyOf(OWN)));
    const other = generatePrivateKey();
    await good('set', 'DEV', 'peer', formatKey(publicKeyOf(other)), 'allowed-ips', '10.78.0.0/16');
    await good('set', 'DEV', 'private-key', `@${formatKey(other)}`);
    expect(await good('show', 'DEV', 'peers')).not.toContain(formatKey(publicKeyOf(other)));
    await shownEqual();
  });

  it('says what cannot be: an interface that is not there, a key that is none', async () => {
    for (const words of [
      ['show', 'nosuch'],
      ['set', 'nosuch', 'listen-port', '1'],
      ['showconf', 'nosuch'],
    ])
      expect((await wg(...words)).code).toBe(1);
    expect((await wg('set', 'DEV', 'private-key', '@rubbish')).code).toBe(1);
    expect((await wg('set', 'DEV', 'peer', PEER_A, 'allowed-ips', '10.0.0.0/33')).code).toBe(1);
  });

  it('says when a port is taken, and gigatun keeps the one that it has', async () => {
    const taken = `${PORT + 9}`;
    const blockers = subjects.map(({ namespace }) => namespace.start([process.execPath, '-e', BLOCKER, taken]));
    await Promise.all(blockers.map((blocker) => blocker.waitForOutput(/bound/, 10_000)));
    const { code, stderr } = await wg('set', 'DEV', 'listen-port', taken);
    expect({ code, stderr }).toEqual({ code: 1, stderr: 'Unable to modify interface: Address already in use\n' });
    expect((await subjects[0].wg(['show', 'DEV', 'listen-port'])).stdout).toBe(`${PORT + 2}\n`);
    await Promise.all(blockers.map((blocker) => blocker.stop()));
    await good('set', 'DEV', 'listen-port', taken);
    expect(await good('show', 'DEV', 'listen-port')).toBe(`${taken}\n`);
  });

  it('sets 130,560 prefixes of one peer, and shows them all', async () => {
    const octets = Array.from({ length: 255 }, (_, at) => at);
    const prefixes = [...octets, 255].flatMap((high) =>
      octets.flatMap((low) => [`10.${high}.${low}.0/24`, `fd00:${high}:${low}::/48`]),
    );
    expect(prefixes).toHaveLength(130_560);
    await good('setconf', 'DEV', `@[Interface]\n[Peer]\nPublicKey = ${PEER_A}\nAllowedIPs = ${prefixes.join(', ')}\n`);
    const shown = await good('show', 'DEV', 'allowed-ips');
    expect(shown.trim().split(/\s/)).toHaveLength(130_561);
    await good('set', 'DEV', 'listen-port', `${PORT}`, 'peer', PEER_A, 'remove');
  });

  it('shows keys and colours, and tries names again, as its environment says', async () => {
    await good('set', 'DEV', 'peer', PEER_A, 'preshared-key', `@${PSK}`);
    const said = async (env: Readonly<Record<string, string>>, ...words: string[]): Promise<Said> => {
      const [ours, theirs] = await Promise.all(subjects.map((subject) => subject.wg(words, env)));
      expect(ours).toEqual(theirs);
      return ours;
    };
    const shown = await said({ WG_HIDE_KEYS: 'never', WG_COLOR_MODE: 'always' }, 'show', 'DEV');
    expect(shown.stdout).toContain(PSK);
    expect(shown.stdout).toContain('\u001b[');
    const hidden = await said({ WG_HIDE_KEYS: 'always', WG_COLOR_MODE: 'never' }, 'show', 'DEV');
    expect(hidden.stdout).not.toContain(PSK);
    expect(hidden.stdout).not.toContain('\u001b[');
    const endpoint = ['set', 'DEV', 'peer', PEER_A, 'endpoint', 'nobody.invalid:1'];
    const { code, stderr } = await said({ WG_ENDPOINT_RESOLUTION_RETRIES: '1' }, ...endpoint);
    expect(code).toBe(1);
    expect(stderr.split('Trying again')).toHaveLength(2);
    await good('set', 'DEV', 'peer', PEER_A, 'remove');
  });

  it('gives up its private key, and takes another', async () => {
    await good('set', 'DEV', 'private-key', '/dev/null');
    expect(await good('show', 'DEV', 'private-key')).toBe('(none)\n');
    expect(await good('show', 'DEV', 'public-key')).toBe('(none)\n');
    await shownEqual();
    await good('set', 'DEV', 'private-key', `@${OWN_KEY}`);
  });
});

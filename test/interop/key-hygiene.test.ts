/**
 * Keys are nowhere but where they belong: a tunnel with debug logging, provoked by everything that a person or a program
 * could get wrong, says no private and no preshared key in any spelling.
 *
 *     a: 10.77.0.1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.77.0.2      d: an interface for `wg`
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { socketPath } from '../../src/control/run-directory.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { Lab } from '../../src/lab/namespaces.ts';
import { type EndPlan, innerRoute, quickConfig } from '../../src/lab/pair.ts';
import { waitForEcho } from '../../src/lab/ping.ts';
import { expectGigatun, openTunnel } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const WAIT_MS = 10_000;
const SECRET = Buffer.from(Array.from({ length: 32 }, (_, at) => (at * 37 + 8) & 0xff)).toString('base64');
const VERBOSE = { LOG_LEVEL: 'debug' } as const;

/** Every spelling of a secret: base64 with and without its end, base64url, hexadecimal in both cases. */
function spellings(base64: string): string[] {
  const bytes = Buffer.from(base64, 'base64');
  const hex = bytes.toString('hex');
  const words = [base64, base64.slice(0, 40), bytes.toString('base64url').slice(0, 40), hex, hex.toUpperCase()];
  // A piece is as bad as half of it, and JSON of the bytes themselves would be as good as a spelling.
  return [...words, hex.slice(0, 32), [...bytes.subarray(0, 16)].join(',')];
}

function expectNoneOf(secrets: readonly string[], text: string, where: string): void {
  const found = secrets.flatMap(spellings).filter((word) => text.includes(word));
  expect(found.length, `spellings of keys in ${where}: ${text.slice(0, 500)}`).toBe(0);
}

function secretsOf({ privateKey, presharedKey }: EndPlan): string[] {
  return presharedKey === null ? [privateKey] : [privateKey, presharedKey];
}

/** What a process tells everybody who may look. */
function procText(pid: number): string {
  return ['cmdline', 'environ', 'comm', 'status']
    .map((file) => readFileSync(`/proc/${pid}/${file}`, 'latin1'))
    .join('\n');
}

/** Sends bytes to a socket and reads until it has been silent for a while or ends. */
async function talk(path: string, text: string): Promise<string> {
  return await new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(path, () => socket.write(text));
    socket.setTimeout(150, () => socket.end());
    socket.on('data', (data) => (answer += data.toString('latin1')));
    socket.on('error', (error) => (answer === '' ? reject(error) : resolve(answer)));
    socket.on('close', () => resolve(answer));
  });
}

/** A key where each other value belongs, and values that are almost a key. */
function wrongConfigs(plan: EndPlan): string[] {
  const good = quickConfig(plan);
  const [key] = secretsOf(plan);
  const hex = Buffer.from(key ?? '', 'base64').toString('hex');
  const names = [
    'ListenPort',
    'FwMark',
    'MTU',
    'Table',
    'Address',
    'DNS',
    'SaveConfig',
    'Frobnicate',
    '#gigatun: Lanes',
  ];
  const peerNames = ['AllowedIPs', 'Endpoint', 'PersistentKeepalive', 'PublicKey', 'Nonsense', '#gigatun: Cipher'];
  return [
    ...names.map((name) => good.replace('[Peer]', `${name} = ${key}\n[Peer]`)),
    ...peerNames.flatMap((name) => [`${good}${name} = ${key}\n`, `${good}${name} = ${hex}\n`]),
    ...[`${key}${key}`, `${key} `, hex, `${key}x`, `"${key}"`, `${key},${key}`, key?.slice(0, 43)].flatMap((value) => [
      good.replace(/^PrivateKey = .*$/m, `PrivateKey = ${value}\nPrivateKey = ${value}`),
      good.replace(/^PresharedKey = .*$/m, `PresharedKey = ${value}x`),
    ]),
    ...[`${key}`, `PrivateKey ${key}`, `[${key}]`, `${key} = 1`, `${hex}=1`].map((line) => `${good}${line}\n`),
    good.replace('[Peer]', `PreUp = echo ${key} >&2; false\n[Peer]`).replace(/^/, '\u0000'),
  ];
}

function wrongRequests(base64: string): string[] {
  const hex = Buffer.from(base64, 'base64').toString('hex');
  const lines = [
    `private_key=${hex}0`,
    `private_key=${hex.slice(1)}`,
    `private_key=${base64}`,
    `preshared_key=${hex}`,
    `public_key=${hex}\npreshared_key=${base64}`,
    `public_key=${hex}\nendpoint=${hex}`,
    `public_key=${hex}\nallowed_ip=${base64}`,
    `public_key=${hex}\npersistent_keepalive_interval=${hex}`,
    `listen_port=${hex}`,
    `fwmark=${base64}`,
    `${hex}=1`,
    hex,
    base64,
  ];
  return [...lines.map((line) => `set=1\n${line}\n\n`), `get=${hex}\n\n`, `${hex}\n\n`, `set=${base64}\n\n`];
}

tunnelSuite('keys', ['ping'], () => {
  it('are found by this test where they are', () => {
    const key = Buffer.alloc(32, 0xfb).toString('base64');
    for (const said of [
      `x ${key}`,
      Buffer.from(key, 'base64').toString('hex'),
      JSON.stringify([...Buffer.alloc(32, 0xfb)]),
    ])
      expect(() => expectNoneOf([key], said, 'a planted text')).toThrow(/spellings of keys/);
  });

  it('are in no log, argument, environment, answer or figure of a tunnel that runs', async () => {
    await using tunnel = await openTunnel({ preshared: true }, { env: VERBOSE }, { env: VERBOSE });
    const { a, b, pair } = tunnel;
    const secrets = [...secretsOf(pair.a), ...secretsOf(pair.b)];
    await waitForEcho(innerRoute(pair, 4), WAIT_MS);
    const { directory } = expectGigatun(a);
    const socket = socketPath(directory, pair.a.device);
    const asked = [`${secrets[0]}\n`, `{"id":1,"method":"${secrets[0]}"}\n`, `{"id":"${secrets[1]}","method":"x"}\n`];
    for (const request of asked)
      expectNoneOf(secrets, (await talk(socket, request)).replaceAll(/"id":"[^"]*"/g, ''), 'an answer');
    const env = { GIGATUN_RUN_DIR: directory };
    for (const args of [
      ['show'],
      ['show', '--json'],
      ['stats', pair.a.device, '--json'],
      ['doctor', '--json', '--watch', '0.1'],
    ]) {
      const { stdout, stderr } = await pair.a.namespace.run([process.execPath, CLI, ...args], { env, mayFail: true });
      expect(stdout + stderr).not.toBe('');
      expectNoneOf(secrets, stdout + stderr, args.join(' '));
    }
    for (const { program } of [a, b]) expectNoneOf(secrets, procText(program.pid), '/proc');
    for (const file of readdirSync(directory).filter((name) => name.endsWith('.undo')))
      expectNoneOf(secrets, readFileSync(join(directory, file), 'utf8'), file);
    await Promise.all([a.end('SIGTERM'), b.end('SIGTERM')]);
    expect(a.program.output).toContain('debug');
    for (const { program } of [a, b]) expectNoneOf(secrets, program.output, 'a log');
  });

  it('are in no complaint about a configuration that has them in the wrong place', async () => {
    await using tunnel = await openTunnel({ preshared: true });
    const { pair, lab } = tunnel;
    const [loader, file] = [join(lab.directory, 'load.mjs'), join(lab.directory, 'wrong.conf')];
    const secrets = secretsOf(pair.a);
    // One process for all of them, through the very functions that `gigatun up` calls.
    const load = new URL('../../dist/control/config-load.js', import.meta.url).href;
    const say = new URL('../../dist/cli/print.js', import.meta.url).href;
    writeFileSync(
      loader,
      `import { readFileSync, writeFileSync } from 'node:fs';
       const { loadConfig } = await import('${load}');
       const { sayError } = await import('${say}');
       for (const text of JSON.parse(readFileSync(0, 'utf8'))) {
         writeFileSync('${file}', text, { mode: 0o600 });
         try { for (const warning of loadConfig('${file}').warnings) console.error(warning); console.error('fine'); }
         catch (error) { sayError(error); }
       }`,
    );
    const wrong = wrongConfigs(pair.a);
    const { stderr } = await pair.a.namespace.run([process.execPath, loader], { input: JSON.stringify(wrong) });
    expect(stderr.match(/wrong\.conf:\d+:\d+: expected/g)?.length).toBeGreaterThan(wrong.length / 2);
    expectNoneOf(secrets, stderr, 'complaints');
  });

  it('are in no answer and no log of an interface that is configured wrongly over its UAPI socket', async () => {
    const lab = new Lab();
    const device = `gtk${process.pid.toString(36)}`;
    const env = { ...VERBOSE, GIGATUN_RUN_DIR: join(lab.directory, 'run') };
    mkdirSync(env.GIGATUN_RUN_DIR, { mode: 0o700 });
    const program = lab.addNamespace('d').start([process.execPath, CLI, '-f', device], { env, timeoutMs: 60_000 });
    try {
      await program.waitForOutput(/ info up /, WAIT_MS);
      for (const request of wrongRequests(SECRET)) {
        const answer = await talk(`/var/run/wireguard/${device}.sock`, request).catch(String);
        expectNoneOf([SECRET], answer, `the answer to ${request.split('=')[0]}`);
      }
      expectNoneOf([SECRET], procText(program.pid), '/proc');
      expect(program.output).toContain('refused');
    } finally {
      const { stdout, stderr } = await program.stop();
      lab.close();
      expectNoneOf([SECRET], stdout + stderr, 'the log');
    }
  });
});

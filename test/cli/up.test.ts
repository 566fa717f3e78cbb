/**
 * `gigatun up` and what ends it, on a real kernel: a namespace looks afterwards as it looked before, however it ended.
 *
 *     a: wa 10.77.0.1, fd77::1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]-- b (nobody answers unless a test starts it)
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { formatKey, generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { Lab, type Namespace } from '../../src/lab/namespaces.ts';
import { type Finished, isAlive, type Running, type RunOptions } from '../../src/lab/process.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

let lab: Lab;
let a: Namespace;
let b: Namespace;
let before: string;
let runs = 0;
let runDirectory = '';

const keyA = generatePrivateKey();
const keyB = generatePrivateKey();

/** All that a tunnel may change in a namespace; link-local addresses come late and by themselves. */
function stateOf({ name }: Namespace): string {
  const show = (...command: string[]): string => a.runSync(['ip', 'netns', 'exec', name, ...command]);
  return [
    show('ip', '-4', 'rule'),
    show('ip', '-6', 'rule'),
    show('ip', '-4', 'route', 'show', 'table', 'all'),
    show('ip', '-6', 'route', 'show', 'table', 'all').replaceAll(/^local fe80.*\n/gm, ''),
    show('ip', '-o', 'link').replaceAll(/ state .*/g, ''),
    show('nft', 'list', 'ruleset'),
  ].join('\n');
}

interface FilePart {
  /** Lines of `[Interface]`. */
  readonly lines?: readonly string[];
  readonly allowedIps?: string;
  readonly endpoint?: string;
}

function configFile(
  name: string,
  { lines = [], allowedIps = '10.78.0.0/16', endpoint = '10.99.0.2:51820' }: FilePart = {},
): string {
  const path = join(runDirectory, `${name}.conf`);
  const text = [
    ...['[Interface]', `PrivateKey = ${formatKey(keyA)}`, 'Address = 10.77.0.1/24, fd77::1/64', ...lines],
    ...[
      '[Peer]',
      `PublicKey = ${formatKey(publicKeyOf(keyB))}`,
      `AllowedIPs = ${allowedIps}`,
      `Endpoint = ${endpoint}`,
    ],
  ];
  writeFileSync(path, `${text.join('\n')}\n`, { mode: 0o600 });
  return path;
}

function optionsOf(env: Readonly<Record<string, string>> = {}): RunOptions {
  return { mayFail: true, env: { GIGATUN_RUN_DIR: runDirectory, ...env } };
}

async function gigatun(...args: string[]): Promise<Finished> {
  return await a.run([process.execPath, CLI, ...args], optionsOf());
}

/** Starts it in the foreground and waits until it serves. */
async function foreground(file: string, name = 'wa'): Promise<Running> {
  const program = a.start([process.execPath, CLI, 'up', '-f', file], optionsOf());
  await program.waitForOutput(new RegExp(` info up name=${name} .*\\n`), 10_000);
  return program;
}

function filesLeft(): string[] {
  return readdirSync(runDirectory).filter((file) => !/\.(conf|log)$/.test(file));
}

function expectNothingLeft(): void {
  expect(stateOf(a)).toBe(before);
  expect(filesLeft()).toEqual([]);
}

tunnelSuite('gigatun up', ['nft', 'ping'], () => {
  beforeAll(() => {
    lab = new Lab();
    a = lab.addNamespace('a');
    b = lab.addNamespace('b');
    lab.connect(a, b);
    before = stateOf(a);
  });
  afterAll(() => lab.close());

  beforeEach(() => {
    runDirectory = join(lab.directory, `run-${++runs}`);
    mkdirSync(runDirectory, { mode: 0o700 });
  });
  afterEach(async () => {
    await gigatun('down', 'wa');
    expect(stateOf(a)).toBe(before);
  });

  describe('in the background', testBackground);
  describe('in the foreground', testForeground);
  describe('that fails', testFailures);
  describe('undoing', testUndoing);
  describe('after a kill', testKill);
  describe('with a default route', testDefaultRoute);
  describe('with name servers', testNameServers);
});

function testBackground(): void {
  it('returns when the tunnel is ready, and down when it is gone', async () => {
    const { code, stdout, stderr } = await gigatun('up', configFile('wa', { lines: ['ListenPort = 4567'] }));
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '', stderr: 'gigatun: wa is up\n' });
    expect(a.runSync(['ip', '-o', 'link', 'show', 'dev', 'wa'])).toMatch(/[<,]UP[,>].* mtu 1420 /);
    expect(a.runSync(['ip', '-o', 'addr', 'show', 'dev', 'wa'])).toMatch(/10\.77\.0\.1\/24[\s\S]*fd77::1\/64/);
    expect(a.runSync(['ip', 'route', 'show', 'dev', 'wa'])).toMatch(/10\.78\.0\.0\/16/);
    expect((await gigatun('show')).stdout).toMatch(
      /^interface: wa\n[\s\S]*listening port: 4567\n[\s\S]*endpoint: 10\.99\.0\.2:51820\n/,
    );
    expect(JSON.parse((await gigatun('show', 'wa', '--json')).stdout)).toMatchObject({
      interface: 'wa',
      listenPort: 4_567,
    });
    expect((await gigatun('stats', 'wa')).stdout).toContain('KERN_WRITE_TUN per TUN_TX:');
    expect(JSON.parse((await gigatun('stats', 'wa', '--json')).stdout)).toMatchObject({ interface: 'wa' });
    expect(await gigatun('down', 'wa')).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expectNothingLeft();
    expect(readFileSync(join(runDirectory, 'wa.log'), 'utf8')).toBe('');
  });

  it('refuses a second one of the name and leaves the first alone', async () => {
    const file = configFile('wa');
    await gigatun('up', file);
    for (const args of [[], ['-f']]) {
      expect(await gigatun('up', ...args, file)).toMatchObject({
        code: 5,
        stderr: expect.stringContaining('wa is up already'),
      });
    }
    expect((await gigatun('show', 'wa')).code).toBe(0);
  });

  it('takes --lanes and --mtu, and the file name as argument of down', async () => {
    const file = configFile('wa', { lines: ['MTU = 1300', '#gigatun: Lanes = 1'] });
    await gigatun('up', '--lanes', '2', '--mtu', '1350', file);
    expect(JSON.parse((await gigatun('show', 'wa', '--json')).stdout)).toMatchObject({ lanes: 2 });
    expect(a.runSync(['ip', '-o', 'link', 'show', 'dev', 'wa'])).toContain(' mtu 1350 ');
    expect((await gigatun('stats', 'wa')).stdout).toMatch(/== lane 1 ==/);
    expect((await gigatun('down', file)).code).toBe(0);
    expectNothingLeft();
  });

  it('watches: a line of JSON each interval, until the tunnel ends', async () => {
    await gigatun('up', configFile('wa'));
    const watching = a.start([process.execPath, CLI, 'stats', 'wa', '--watch', '0.2', '--json'], optionsOf());
    await watching.waitForOutput(/}\n.*}\n/, 10_000);
    await gigatun('down', 'wa');
    const { code, stdout } = await watching.finished;
    expect(code).toBe(1);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    for (const { wallNs } of lines) expect(wallNs).toBeGreaterThan(150e6);
  });

  it('warns on the terminal that it was started from', async () => {
    const file = configFile('wa', { lines: ['SaveConfig = true'] });
    chmodSync(file, 0o644);
    const { code, stderr } = await gigatun('up', file);
    expect(code).toBe(0);
    expect(stderr).toMatch(/everybody may read the private key[\s\S]*:4:1: warning: SaveConfig[\s\S]*wa is up/);
  });

  it('warns of a LOG_LEVEL that is none', async () => {
    const { code, stderr } = await a.run(
      [process.execPath, CLI, 'up', configFile('wa')],
      optionsOf({ LOG_LEVEL: 'inof' }),
    );
    expect(code).toBe(0);
    expect(stderr).toMatch(/^warning: expected LOG_LEVEL .* got "inof"; it is error now\n/);
  });
}

function testForeground(): void {
  // What SIGHUP does depends on the terminal: hang-up.test.ts.
  it.each(['SIGTERM', 'SIGINT'] as const)('ends cleanly on %s', async (signal) => {
    const program = await foreground(configFile('wa', { allowedIps: '0.0.0.0/0, ::/0' }));
    expect(stateOf(a)).not.toBe(before);
    program.signal(signal);
    expect(await program.finished).toMatchObject({ code: 0, stderr: expect.stringContaining(`stopped by ${signal}`) });
    expectNothingLeft();
  });

  it('ends when the interface is deleted', async () => {
    const program = await foreground(configFile('wa', { allowedIps: '0.0.0.0/0' }));
    a.ip('link delete dev wa');
    expect(await program.finished).toMatchObject({ code: 0 });
    expectNothingLeft();
  });

  it.each([
    ['the main thread', 'isMainThread', 'planted'],
    ['a lane', '!isMainThread', 'planted'],
  ])('ends with exit code 1 and leaves nothing when %s breaks', async (_, where, text) => {
    const file = configFile('wa', { allowedIps: '0.0.0.0/0, ::/0' });
    const program = a.start([process.execPath, '--import', plantedFault(where), CLI, 'up', '-f', file], optionsOf());
    await program.waitForOutput(/ info up name=wa .*\n/, 10_000);
    writeFileSync(join(runDirectory, 'break.log'), '');
    // Whoever asks for figures makes every thread work.
    await gigatun('stats', 'wa');
    expect(await program.finished).toMatchObject({ code: 1, stderr: expect.stringContaining(text) });
    expectNothingLeft();
  });

  it('runs the hooks with the name of the interface, in order', async () => {
    const record = join(runDirectory, 'record.log');
    const hook = (key: string): string =>
      `${key} = echo ${key} %i $(ip -o link show dev %i 2> /dev/null | wc -l) >> ${record}`;
    const lines = ['PreUp', 'PostUp', 'PreDown', 'PostDown'].map(hook);
    const program = await foreground(configFile('wa', { lines }));
    await program.stop();
    expect(readFileSync(record, 'utf8')).toBe('PreUp wa 0\nPostUp wa 1\nPreDown wa 1\nPostDown wa 0\n');
  });
}

function testUndoing(): void {
  it('that hangs in a hook is forced by a second signal; rules and routes still go', async () => {
    const lines = ['PreDown = sleep infinity; true'];
    const program = await foreground(configFile('wa', { allowedIps: '0.0.0.0/0', lines }));
    program.signal('SIGINT');
    program.signal('SIGTERM');
    await program.waitForOutput(/ info hook key=PreDown /, 10_000);
    // Two signals at once are one.
    await delay(700);
    expect(program.ended).toBe(false);
    program.signal('SIGINT');
    const { code, stderr } = await program.finished;
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('a PreDown command was ended') });
    expectNothingLeft();
  });

  it('that fails is said with exit code 1, by the tunnel and by down, until it succeeds', async () => {
    const programs = join(runDirectory, 'programs.log');
    const env = { PATH: `${programs}:${process.env.PATH}` };
    mkdirSync(programs);
    const program = a.start(
      [process.execPath, CLI, 'up', '-f', configFile('wa', { allowedIps: '0.0.0.0/0' })],
      optionsOf(env),
    );
    await program.waitForOutput(/ info up name=wa .*\n/, 10_000);
    writeFileSync(join(programs, 'nft'), '#!/bin/sh\necho planted >&2\nexit 1\n', { mode: 0o755 });
    program.signal('SIGTERM');
    expect(await program.finished).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/not all could be .*planted/),
    });
    expect(filesLeft()).toEqual(['wa.undo']);
    const again = await a.run([process.execPath, CLI, 'down', 'wa'], optionsOf(env));
    expect(again).toMatchObject({ code: 1, stderr: expect.stringContaining('planted') });
    expect(await gigatun('down', 'wa')).toMatchObject({ code: 0, stderr: expect.stringContaining('is removed') });
    expectNothingLeft();
  });
}

/** A module that makes the threads for which `where` holds throw at their next commit of the books, once break.log exists. */
function plantedFault(where: string): string {
  const fault = `
    import { existsSync } from 'node:fs';
    import { isMainThread } from 'node:worker_threads';
    const add = Atomics.add;
    Atomics.add = (...args) => {
      if (${where} && existsSync(${JSON.stringify(join(runDirectory, 'break.log'))})) {
        Atomics.add = add;
        if (isMainThread) setTimeout(() => { throw new Error('planted'); });
        else throw new Error('planted');
      }
      return add.apply(Atomics, args);
    };`;
  return `data:text/javascript,${encodeURIComponent(fault)}`;
}

function testFailures(): void {
  it.each<[string, FilePart, number, string]>([
    ['a PostUp that fails', { lines: ['PostUp = exit 7'] }, 1, 'a PostUp command failed (7): "exit 7"'],
    [
      'a route that exists',
      { allowedIps: '10.99.0.0/24, 0.0.0.0/0' },
      1,
      '(route add 10.99.0.0/24 dev wa); it exists already',
    ],
    [
      'an address that it has already',
      { lines: ['Address = 10.77.0.1/24'] },
      1,
      'ip -4 address add 10.77.0.1/24 dev wa failed',
    ],
    ['an endpoint without an address', { endpoint: 'no-such-host.invalid:1' }, 4, 'no-such-host.invalid'],
    ['an MTU too small for IPv6', { lines: ['MTU = 1279'] }, 2, 'an MTU of at least 1280'],
  ])('because of %s leaves nothing, in the background as in the foreground', async (_, part, status, text) => {
    const file = configFile('wa', part);
    for (const args of [[], ['-f']]) {
      const { code, stderr } = await a.run([process.execPath, CLI, 'up', ...args, file], {
        ...optionsOf({ WG_ENDPOINT_RESOLUTION_RETRIES: '1' }),
      });
      expect(stderr).toContain(text);
      // A name server that cannot be reached is no answer, which is another failure.
      expect([status, status === 4 ? 1 : status]).toContain(code);
      expectNothingLeft();
    }
  });

  it('because the port is taken says so', async () => {
    const other = await foreground(configFile('wb', { lines: ['ListenPort = 5555', 'Table = off'] }), 'wb');
    const { code, stderr } = await gigatun('up', configFile('wa', { lines: ['ListenPort = 5555'] }));
    expect({ code, stderr }).toEqual({ code: 5, stderr: expect.stringContaining('5555') });
    await other.stop();
    expectNothingLeft();
  });

  it('because the interface exists says how to delete it', async () => {
    a.ip('link add wa type veth peer name wz');
    const { code, stderr } = await gigatun('up', configFile('wa'));
    a.ip('link delete dev wa');
    expect({ code, stderr }).toEqual({ code: 5, stderr: expect.stringContaining('ip link delete dev wa') });
    expectNothingLeft();
  });

  it('because it may not says so', async () => {
    const powerless = [
      'setpriv',
      '--bounding-set=-all',
      '--inh-caps=-all',
      process.execPath,
      CLI,
      'up',
      configFile('wa'),
    ];
    const { code, stderr } = await a.run(powerless, optionsOf());
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining("'wa'") });
    expectNothingLeft();
  });

  it('because the run directory is of somebody else says so', async () => {
    const file = configFile('wa');
    chownSync(runDirectory, 65_534, 65_534);
    const { code, stderr } = await gigatun('up', file);
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('set GIGATUN_RUN_DIR') });
  });

  it('because it was interrupted while it started leaves nothing', async () => {
    const file = configFile('wa', { lines: ['PreUp = sleep 0.5'] });
    const program = a.start([process.execPath, CLI, 'up', file], optionsOf());
    await program.waitUntil(() => existsSync(join(runDirectory, 'wa.starting')), 10_000, 'start');
    program.signal('SIGINT');
    expect(await program.finished).toMatchObject({ code: 1, stderr: expect.stringContaining('stopped by SIGTERM') });
    expectNothingLeft();
  });

  it('because it was interrupted in a hook that hangs ends the hook and leaves nothing', async () => {
    const program = a.start(
      [process.execPath, CLI, 'up', '-f', configFile('wa', { lines: ['PreUp = sleep infinity; true'] })],
      optionsOf(),
    );
    await program.waitForOutput(/ info hook key=PreUp /, 10_000);
    program.signal('SIGTERM');
    expect(await program.finished).toMatchObject({ code: 1, stderr: expect.stringContaining('stopped by SIGTERM') });
    expectNothingLeft();
  });

  it('because down was faster leaves nothing, and down waits for it', async () => {
    const file = configFile('wa', { allowedIps: '0.0.0.0/0', lines: ['PostUp = sleep 30'] });
    const program = a.start([process.execPath, CLI, 'up', '-f', file], optionsOf());
    await program.waitForOutput(/ info hook key=PostUp /, 10_000);
    expect(stateOf(a)).toContain('suppress_prefixlength');
    expect(await gigatun('down', 'wa')).toMatchObject({ code: 0, stderr: '' });
    expectNothingLeft();
    expect(await program.finished).toMatchObject({ code: 1, stderr: expect.stringContaining('asked by gigatun down') });
  });

  it('because the run directory is open to others says so, and leaves its mode', async () => {
    const file = configFile('wa');
    chmodSync(runDirectory, 0o755);
    const { code, stderr } = await gigatun('up', file);
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringContaining('mode 0700') });
    expect(statSync(runDirectory).mode & 0o777).toBe(0o755);
    chmodSync(runDirectory, 0o700);
  });
}

function testKill(): void {
  /** Kills a tunnel with a default route; the kernel takes the interface, the rules stay. */
  async function killed(file: string): Promise<void> {
    const program = await foreground(file);
    program.signal('SIGKILL');
    await program.finished;
    expect(stateOf(a)).toContain('suppress_prefixlength');
    expect(filesLeft().sort()).toEqual(['wa.sock', 'wa.undo']);
  }

  it('the next start finds its way', async () => {
    const file = configFile('wa', { allowedIps: '0.0.0.0/0, ::/0' });
    await killed(file);
    expect((await gigatun('show')).stderr).toBe('gigatun: no interface is up\n');
    const program = await foreground(file);
    expect(a.runSync(['ip', '-4', 'rule']).match(/51820/g)).toHaveLength(1);
    await program.stop();
    expectNothingLeft();
  });

  it('down removes what is left, and says that it was not alive', async () => {
    await killed(configFile('wa', { allowedIps: '0.0.0.0/0' }));
    const { code, stderr } = await gigatun('down', 'wa');
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining('had not ended by itself') });
    expectNothingLeft();
    expect((await gigatun('down', 'wa')).code).toBe(4);
  });

  it('of the waiting parent the tunnel comes up all the same', async () => {
    const parent = a.start(
      [process.execPath, CLI, 'up', configFile('wa', { lines: ['PreUp = sleep 0.3'] })],
      optionsOf(),
    );
    await parent.waitUntil(() => existsSync(join(runDirectory, 'wa.starting')), 10_000, 'start');
    parent.signal('SIGKILL');
    const ready = async (): Promise<boolean> => (await gigatun('show', 'wa')).code === 0;
    await expect.poll(ready, { timeout: 10_000 }).toBe(true);
    const { pid } = JSON.parse((await gigatun('show', 'wa', '--json')).stdout);
    await gigatun('down', 'wa');
    await expect.poll(() => isAlive(pid), { timeout: 5_000 }).toBe(false);
    expectNothingLeft();
  });
}

function testDefaultRoute(): void {
  it('sends everything through the tunnel but what has a better route, and its own datagrams', async () => {
    const fileB = join(runDirectory, 'wb.conf');
    const keys = `PrivateKey = ${formatKey(keyB)}\n[Peer]\nPublicKey = ${formatKey(publicKeyOf(keyA))}`;
    writeFileSync(
      fileB,
      `[Interface]\nListenPort = 51820\nAddress = 203.0.113.9/32, 2001:db8::9/128\n${keys}\nAllowedIPs = 10.77.0.0/24, fd77::/64\n`,
    );
    chmodSync(fileB, 0o600);
    const end = b.start([process.execPath, CLI, 'up', '-f', fileB], optionsOf());
    await end.waitUntil(() => existsSync(join(runDirectory, 'wb.sock')), 10_000, 'become ready');
    const program = await foreground(configFile('wa', { allowedIps: '0.0.0.0/0, ::/0' }));
    expect(a.runSync(['ip', 'route', 'get', '8.8.8.8'])).toContain('dev wa');
    expect(a.runSync(['ip', 'route', 'get', '10.99.0.2'])).toContain('dev veth');
    for (const address of ['203.0.113.9', '2001:db8::9'])
      a.runSync(['ping', '-c', '2', '-i', '0.2', '-W', '5', address]);
    a.runSync(['ping', '-c', '1', '-W', '5', '10.99.0.2']);
    await program.stop();
    await end.stop();
    expectNothingLeft();
  });

  it('drops what comes to the inner address from outside the tunnel', async () => {
    const program = await foreground(configFile('wa', { allowedIps: '0.0.0.0/0' }));
    b.ip('route add 10.77.0.0/24 via 10.99.0.1');
    const outside = await b.run(['ping', '-c', '1', '-W', '1', '10.77.0.1'], { mayFail: true });
    b.ip('route delete 10.77.0.0/24 via 10.99.0.1');
    expect(outside.code).toBe(1);
    await program.stop();
    expectNothingLeft();
  });
}

function testNameServers(): void {
  it('hands them to resolvconf and takes them back', async () => {
    const programs = join(lab.directory, 'programs');
    const record = join(runDirectory, 'resolvconf.log');
    mkdirSync(programs);
    writeFileSync(join(programs, 'resolvconf'), `#!/bin/sh\necho "$@" >> ${record}\ncat >> ${record}\n`, {
      mode: 0o755,
    });
    const file = configFile('wa', { lines: ['DNS = 10.77.0.53, corp.example'] });
    const env = { PATH: `${programs}:${process.env.PATH}` };
    const up = await a.run([process.execPath, CLI, 'up', file], optionsOf(env));
    expect(up.code).toBe(0);
    await gigatun('down', 'wa');
    expect(readFileSync(record, 'utf8')).toBe('-a wa -m 0 -x\nnameserver 10.77.0.53\nsearch corp.example\n-d wa -f\n');
    expectNothingLeft();
  });
}

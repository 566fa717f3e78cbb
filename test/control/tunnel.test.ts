/** A tunnel's life with a device and programs that only pretend: it comes up whole or leaves nothing, whatever ends it. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { CommandResult } from '../../src/control/command.ts';
import { parseConfig } from '../../src/control/config-file.ts';
import { ControlClient, callControl } from '../../src/control/control-client.ts';
import { formatKey, generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import { recoverTunnel } from '../../src/control/recovery.ts';
import { journalPath, socketPath } from '../../src/control/run-directory.ts';
import {
  bringUp,
  type DeviceRequest,
  type Tunnel,
  type TunnelEnd,
  type TunnelRequest,
} from '../../src/control/tunnel.ts';
import { GigatunError } from '../../src/errors.ts';
import { fakeRunner, keptLog, rejectionOf, temporaryDirectory } from './support/fakes.ts';
import { modelDevice } from './support/model-device.ts';

interface Stage {
  readonly directory: string;
  /** Programs, hooks and device, in the order they were asked. */
  readonly events: string[];
  readonly lines: string[];
  readonly opened: DeviceRequest[];
  /** Ends the device as if by itself. */
  readonly die: (end: TunnelEnd) => void;
  /** Removes the UAPI's socket as somebody else. */
  readonly removeUapi: () => void;
  readonly up: (part?: Partial<TunnelRequest>) => Promise<Tunnel>;
}

interface StageOptions {
  /** Lines of `[Interface]`. */
  readonly lines?: readonly string[];
  readonly allowedIps?: string;
  readonly directory?: string;
  readonly answer?: (text: string) => Partial<CommandResult> | null;
  readonly openFails?: GigatunError;
  readonly closeFails?: GigatunError;
  /** Absent: there is no UAPI. */
  readonly uapi?: 'opens' | GigatunError;
}

/** Everything a tunnel needs, with a record of what happens. Hooks write their name into the same record. */
function stage(options: StageOptions = {}): Stage {
  const directory = options.directory ?? temporaryDirectory();
  const record = join(directory, 'events');
  const { run, commands } = fakeRunner((text) => {
    note(text);
    if (text === 'ip link show dev wg0') return { status: 1 };
    return options.answer?.(text) ?? null;
  });
  const note = (event: string): void => writeFileSync(record, `${event}\n`, { flag: 'a' });
  const { log, lines } = keptLog();
  const opened: DeviceRequest[] = [];
  let die: (end: TunnelEnd) => void = () => {};
  const openDevice = async (request: DeviceRequest) => {
    note('open device');
    opened.push(request);
    if (options.openFails !== undefined) throw options.openFails;
    const closed = new Promise<TunnelEnd>((resolve) => {
      die = resolve;
    });
    const close = async (): Promise<void> => {
      note('close device');
      die({ reason: 'closed', error: null });
      if (options.closeFails !== undefined) throw options.closeFails;
    };
    const { configure, settings, alsoTry } = modelDevice(request.config);
    const status = () => ({ up: true });
    return { status, snapshot: async () => ({ lanes: [] }), configure, alsoTry, settings, close, closed };
  };
  let removeUapi = (): void => {};
  const openUapi = async (name: string, _: unknown, onRemoved: () => void) => {
    note(`open UAPI of ${name}`);
    if (options.uapi instanceof GigatunError) throw options.uapi;
    removeUapi = onRemoved;
    return { close: async () => note('close UAPI') };
  };
  const request: TunnelRequest = {
    name: 'wg0',
    config: configOf(record, options),
    lanes: null,
    mtu: null,
    directory,
    version: '1.2.3',
    log,
    report: () => {},
    signal: new AbortController().signal,
  };
  return {
    directory,
    get events() {
      return existsSync(record) ? readFileSync(record, 'utf8').trim().split('\n') : [];
    },
    lines,
    opened,
    die: (end) => die(end),
    removeUapi: () => removeUapi(),
    up: (part = {}) => {
      commands.length = 0;
      const tools = { openDevice, run, ...(options.uapi === undefined ? {} : { openUapi }) };
      return bringUp({ ...request, ...part }, tools);
    },
  };
}

function configOf(record: string, { lines = [], allowedIps = '10.1.0.0/16' }: StageOptions): TunnelRequest['config'] {
  const hooks = ['PreUp', 'PostUp', 'PreDown', 'PostDown'].map((key) => `${key} = echo ${key} %i >> ${record}`);
  const text = [
    ...['[Interface]', `PrivateKey = ${formatKey(generatePrivateKey())}`, 'Address = 10.0.0.1/24', ...hooks, ...lines],
    ...['[Peer]', `PublicKey = ${formatKey(publicKeyOf(generatePrivateKey()))}`, `AllowedIPs = ${allowedIps}`],
    'Endpoint = 192.0.2.1:51820',
  ].join('\n');
  return parseConfig(text, 'wg0.conf').config;
}

/** What is left of a tunnel in its directory. */
function leftIn(directory: string): string[] {
  return readdirSync(directory).filter((file) => file.startsWith('wg0'));
}

describe('the UAPI of a tunnel', () => {
  it('opens behind the device and before the link, and closes between them, too', async () => {
    const { events, up } = await stageUp({ uapi: 'opens' });
    expect(events().indexOf('open UAPI of wg0')).toBe(events().indexOf('open device') + 1);
    await up.close({ reason: 'asked to', error: null });
    expect(events().indexOf('close UAPI')).toBe(events().indexOf('close device') - 1);
  });

  it('is no reason to end when it cannot open, but for a warning', async () => {
    const told: string[] = [];
    const { report, uapi } = { report: (text: string) => told.push(text), uapi: new GigatunError('PERMISSION', 'no') };
    const { up, lines } = await stageUp({ uapi }, { report });
    expect(told).toEqual(['warning: wg will not find wg0: no']);
    expect(lines).toContain('warn wg will not find wg0: no');
    await up.close({ reason: 'asked to', error: null });
    expect(await up.closed).toMatchObject({ error: null });
  });

  it('ends the tunnel when somebody removes it', async () => {
    const { up, removeUapi, directory } = await stageUp({ uapi: 'opens' });
    removeUapi();
    expect(await up.closed).toEqual({ reason: 'its UAPI socket was removed', error: null });
    expect(leftIn(directory)).toEqual([]);
  });
});

async function stageUp(options: StageOptions, part: Partial<TunnelRequest> = {}) {
  const { up, ...rest } = stage(options);
  const tunnel = await up(part);
  return { ...rest, up: tunnel, events: () => readFileSync(join(rest.directory, 'events'), 'utf8').trim().split('\n') };
}

describe('a tunnel', () => {
  it('comes up in order and goes down in reverse', async () => {
    const { up, events: _, ...rest } = stage();
    const all = { ...rest };
    const tunnel = await up();
    expect(existsSync(socketPath(all.directory, 'wg0'))).toBe(true);
    expect(Object.keys(tunnel.phasesMs)).toEqual(['lookupsMs', 'deviceMs', 'linkMs']);
    await tunnel.close({ reason: 'enough', error: null });
    expect(await tunnel.closed).toEqual({ reason: 'enough', error: null });
    expect(leftIn(all.directory)).toEqual([]);
    expect(readFileSync(join(all.directory, 'events'), 'utf8').trim().split('\n')).toEqual([
      'ip link show dev wg0',
      'ip -o -force -batch -',
      'PreUp wg0',
      'open device',
      'ip -4 address add 10.0.0.1/24 dev wg0',
      'ip link set dev wg0 mtu 1420 up',
      'ip -4 -batch -',
      'PostUp wg0',
      'PreDown wg0',
      'close device',
      'PostDown wg0',
    ]);
  });

  it('gives the device what the file and the command line say', async () => {
    const { up, opened } = stage({ lines: ['ListenPort = 7', 'MTU = 1300', 'FwMark = 9', '#gigatun: Lanes = 3'] });
    const first = await up();
    await first.close({ reason: '', error: null });
    const second = await up({ lanes: 5, mtu: 1_400 });
    await second.close({ reason: '', error: null });
    expect(opened[0]).toMatchObject({ name: 'wg0', lanes: 3, mtu: 1_300, config: { listenPort: 7, fwmark: 9 } });
    expect(opened[1]).toMatchObject({ lanes: 5, mtu: 1_400 });
    expect(opened[0]?.config.peers[0]?.endpoint).toEqual({ address: '192.0.2.1', port: 51_820 });
  });

  it('gives the device the memory cap of the file, or that of the command line before it', async () => {
    const { up, opened } = stage({ lines: ['#gigatun: Memory = 128'] });
    for (const part of [{}, { memoryCapBytes: 200e6 }]) await (await up(part)).close({ reason: '', error: null });
    expect(opened.map(({ memoryCapBytes }) => memoryCapBytes)).toEqual([128e6, 200e6]);
  });

  it('with a default route marks its own datagrams with a free table', async () => {
    const { up, opened } = stage({ allowedIps: '0.0.0.0/0' });
    const tunnel = await up();
    expect(opened[0]?.config.fwmark).toBe(51_820);
    await tunnel.close({ reason: '', error: null });
  });

  it('with a default route and a mark keeps the mark', async () => {
    const { up, opened, directory } = stage({ allowedIps: '0.0.0.0/0', lines: ['FwMark = 0x1234'] });
    const tunnel = await up();
    expect(opened[0]?.config.fwmark).toBe(0x1234);
    expect(readFileSync(journalPath(directory, 'wg0'), 'utf8')).toContain(`"fwmark","${0x1234}"`);
    await tunnel.close({ reason: '', error: null });
    expect(leftIn(directory)).toEqual([]);
  });

  it('refuses an MTU that would take IPv6 away', async () => {
    const { up } = stage({ lines: ['Address = fd00::1/64'] });
    expect(await rejectionOf(up({ mtu: 1_000 }))).toMatchObject({ code: 'CONFIG' });
  });
});

describe('a start that fails', () => {
  const failing = (command: string) => (text: string) =>
    text.startsWith(command) ? { status: 2, stderr: 'refused' } : null;

  it.each<[string, StageOptions, string[]]>([
    ['PreUp', { lines: ['PreUp = false'] }, ['PostDown wg0']],
    ['the device', { openFails: new GigatunError('PERMISSION', 'no') }, ['open device', 'PostDown wg0']],
    ['an address', { answer: failing('ip -4 address') }, ['close device', 'PostDown wg0']],
    ['a route', { answer: failing('ip -4 -batch') }, ['close device', 'PostDown wg0']],
    ['PostUp', { lines: ['PostUp = exit 3'] }, ['PreDown wg0', 'close device', 'PostDown wg0']],
  ])('at %s leaves nothing', async (_, options, tail) => {
    const all = stage(options);
    expect(await rejectionOf(all.up())).toBeInstanceOf(GigatunError);
    expect(all.events.slice(-tail.length)).toEqual(tail);
    expect(leftIn(all.directory)).toEqual([]);
  });

  it('because it cannot fit under its memory cap runs nothing, not even PreUp', async () => {
    const all = stage({ lines: ['#gigatun: Memory = 100', '#gigatun: Lanes = 4'] });
    const error = await rejectionOf(all.up());
    expect(error).toMatchObject({
      code: 'CONFIG',
      message: expect.stringContaining('got 100 MB; allow more, or run 1 lane'),
    });
    expect(all.events).toEqual(['ip link show dev wg0']);
  });

  it('because the interface exists says how to remove it', async () => {
    const all = stage({ answer: () => null });
    const { run } = fakeRunner();
    const request = { openDevice: () => Promise.reject(new Error('unreached')), run };
    const { config } = { config: configOf(join(all.directory, 'events'), {}) };
    const error = await rejectionOf(
      bringUp(
        {
          ...{ name: 'wg0', config, lanes: null, mtu: null, directory: all.directory, version: '', log: keptLog().log },
          ...{ report: () => {}, signal: new AbortController().signal },
        },
        request,
      ),
    );
    expect(error).toMatchObject({ code: 'BUSY', message: expect.stringContaining('ip link delete dev wg0') });
    expect(leftIn(all.directory)).toEqual([]);
  });

  it('because it was stopped says so', async () => {
    const stop = new AbortController();
    const reason = new GigatunError('GONE', 'stopped by SIGINT');
    const all = stage({
      answer: (text) => {
        if (text.startsWith('ip -4 address')) stop.abort(reason);
        return null;
      },
    });
    expect(await rejectionOf(all.up({ signal: stop.signal }))).toBe(reason);
    expect(all.events.at(-2)).toBe('close device');
    expect(leftIn(all.directory)).toEqual([]);
  });

  it('tells also what could not be undone', async () => {
    const all = stage({
      allowedIps: '0.0.0.0/0',
      lines: ['PostUp = exit 3'],
      answer: (text) => (text.includes('rule delete not') ? { status: 2, stderr: 'refused' } : null),
    });
    expect(await rejectionOf(all.up())).toMatchObject({
      message: expect.stringMatching(/a PostUp command failed \(3\).*; not all could be undone: .*refused/),
    });
    expect(leftIn(all.directory)).toEqual(['wg0.undo']);
  });

  it.each(['PreUp', 'PostUp'])('because it was stopped ends a %s that hangs', async (key) => {
    const stop = new AbortController();
    const reason = new GigatunError('GONE', 'stopped by SIGINT');
    const all = stage({ lines: [`${key} = sleep 100`] });
    const starting = rejectionOf(all.up({ signal: stop.signal }));
    await expect.poll(() => all.events.at(-1)).toBe(`${key} wg0`);
    stop.abort(reason);
    expect(await starting).toBe(reason);
    expect(all.events.at(-1)).toBe('PostDown wg0');
    expect(leftIn(all.directory)).toEqual([]);
  });

  it('because it was asked to end while it started says so, and the asker hears when all is gone', async () => {
    const all = stage({ allowedIps: '0.0.0.0/0', lines: ['PostUp = sleep 100'] });
    const starting = rejectionOf(all.up());
    await expect.poll(() => all.events.at(-1)).toBe('PostUp wg0');
    const { run, commands } = fakeRunner();
    const recovering = recoverTunnel({ name: 'wg0', directory: all.directory, run, log: keptLog().log });
    expect(await rejectionOf(recovering)).toMatchObject({ code: 'BUSY' });
    expect(commands).toEqual([]);
    const client = await ControlClient.connectEarly(all.directory, 'wg0');
    expect(await client.call('down')).toEqual({ removed: true });
    await client.closed;
    expect(leftIn(all.directory)).toEqual([]);
    expect(await starting).toMatchObject({ code: 'GONE', message: 'asked by gigatun down' });
  });

  it('because the device died meanwhile says why it died', async () => {
    const error = new GigatunError('GONE', 'lane 0 ended: out of memory');
    const all = stage({
      answer: (text) => {
        if (text.startsWith('ip -4 address')) all.die({ reason: 'lane', error });
        return text.startsWith('ip link set') ? { status: 1, stderr: 'Cannot find device' } : null;
      },
    });
    expect(await rejectionOf(all.up())).toBe(error);
    expect(leftIn(all.directory)).toEqual([]);
  });

  it('because one of its name runs leaves that one alone', async () => {
    const all = stage({ allowedIps: '0.0.0.0/0' });
    const tunnel = await all.up();
    expect(await rejectionOf(stage({ directory: all.directory }).up())).toMatchObject({ code: 'BUSY' });
    expect(leftIn(all.directory).sort()).toEqual(['wg0.sock', 'wg0.undo']);
    expect(await callControl(all.directory, 'wg0', 'status')).toEqual({ up: true });
    await tunnel.close({ reason: '', error: null });
  });
});

describe('a running tunnel', () => {
  it('answers for itself', async () => {
    const { up, directory } = stage();
    const tunnel = await up();
    expect(await callControl(directory, 'wg0', 'status')).toEqual({ up: true });
    expect(await callControl(directory, 'wg0', 'stats')).toEqual({ lanes: [] });
    expect(await callControl(directory, 'wg0', 'version')).toEqual({
      version: '1.2.3',
      pid: process.pid,
      protocol: 1,
      state: 'running',
    });
    await tunnel.close({ reason: '', error: null });
  });

  it('ends when it is asked to, and the asker hears when all is gone', async () => {
    const { up, directory, opened } = stage({ allowedIps: '0.0.0.0/0' });
    const tunnel = await up();
    const client = await ControlClient.connect(directory, 'wg0');
    expect(await client.call('down')).toEqual({ removed: true });
    expect(existsSync(journalPath(directory, 'wg0'))).toBe(false);
    await client.closed;
    expect(await tunnel.closed).toEqual({ reason: 'asked by gigatun down', error: null });
    expect(opened).toHaveLength(1);
    expect(leftIn(directory)).toEqual([]);
  });

  it('tells the asker what could not be undone, and undoes the rest', async () => {
    const all = stage({ closeFails: new GigatunError('SYSTEM', 'stuck'), lines: ['PreDown = exit 4'] });
    await all.up();
    const error = await rejectionOf(callControl(all.directory, 'wg0', 'down'));
    expect(error).toMatchObject({ code: 'SYSTEM', message: expect.stringMatching(/PreDown .*; stuck$/) });
    expect(all.events.slice(-2)).toEqual(['close device', 'PostDown wg0']);
    expect(leftIn(all.directory)).toEqual([]);
  });

  it('ends with an error when a rule could not be undone, and the next down tries again', async () => {
    const failing = new Set(['ip -4 rule delete not fwmark 51820 table 51820']);
    const answer = (text: string) => (failing.has(text) ? { status: 2, stderr: 'Operation not permitted' } : null);
    const all = stage({ allowedIps: '0.0.0.0/0', answer });
    const tunnel = await all.up();
    await tunnel.close({ reason: 'stopped by SIGTERM', error: null });
    expect(await tunnel.closed).toMatchObject({
      reason: 'stopped by SIGTERM',
      error: { code: 'SYSTEM', message: expect.stringMatching(/^not all could be undone: .* not permitted/) },
    });
    expect(leftIn(all.directory)).toEqual(['wg0.undo']);
    expect(await rejectionOf(all.up())).toMatchObject({ message: expect.stringContaining('left behind') });
    failing.clear();
    const { run, commands } = fakeRunner();
    const { log } = keptLog();
    expect(await recoverTunnel({ name: 'wg0', directory: all.directory, run, log })).toBe(true);
    expect(commands).toEqual(['ip -4 rule delete not fwmark 51820 table 51820']);
    expect(leftIn(all.directory)).toEqual([]);
  });

  it('takes its rules down even if a hook of the way down hangs, once it is forced', async () => {
    const force = new AbortController();
    const all = stage({ allowedIps: '0.0.0.0/0', lines: ['PreDown = sleep 100'] });
    const tunnel = await all.up({ force: force.signal });
    const closing = tunnel.close({ reason: '', error: null });
    await expect.poll(() => all.events.at(-1)).toBe('PreDown wg0');
    force.abort();
    await closing;
    expect((await tunnel.closed).error?.message).toMatch(
      /a PreDown command was ended .*a PostDown command was left out/,
    );
    expect(leftIn(all.directory)).toEqual([]);
  });

  it('ends with its device, for the same reason', async () => {
    const all = stage({ allowedIps: '0.0.0.0/0' });
    const tunnel = await all.up();
    const error = new GigatunError('GONE', 'lane 1 ended unexpectedly');
    all.die({ reason: error.message, error });
    expect(await tunnel.closed).toEqual({ reason: error.message, error });
    expect(all.events).toContain('ip -4 rule delete not fwmark 51820 table 51820');
    expect(leftIn(all.directory)).toEqual([]);
  });

  it('ends once, however many ask', async () => {
    const all = stage();
    const tunnel = await all.up();
    await Promise.all([1, 2, 3].map((at) => tunnel.close({ reason: `${at}`, error: null })));
    expect(await tunnel.closed).toEqual({ reason: '1', error: null });
    expect(all.events.filter((event) => event === 'close device')).toHaveLength(1);
  });
});

describe('after a kill', () => {
  it('the next start undoes what the last one had done', async () => {
    const directory = temporaryDirectory();
    mkdirSync(directory, { recursive: true });
    const undo = { kind: 'run', command: { program: 'ip', args: ['-4', 'rule', 'delete', 'table', '51820'] } };
    writeFileSync(journalPath(directory, 'wg0'), JSON.stringify([undo]));
    const all = stage({ directory });
    const tunnel = await all.up();
    expect(all.events[0]).toBe('ip -4 rule delete table 51820');
    expect(existsSync(journalPath(directory, 'wg0'))).toBe(false);
    await tunnel.close({ reason: '', error: null });
  });
});

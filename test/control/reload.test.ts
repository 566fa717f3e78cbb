/** Reloads of a tunnel on a model of the host with a model of a device: all of the file holds, or nothing has changed. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/control/config-load.ts';
import { callControl } from '../../src/control/control-client.ts';
import { formatKey, generatePresharedKey, generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import { type ReloadReport, readReloadReport } from '../../src/control/reload-report.ts';
import type { LookUp } from '../../src/control/resolve.ts';
import { journalPath } from '../../src/control/run-directory.ts';
import {
  bringUp,
  type DeviceRequest,
  type Tunnel,
  type TunnelEnd,
  type TunnelRequest,
} from '../../src/control/tunnel.ts';
import { GigatunError } from '../../src/errors.ts';
import { keptLog, rejectionOf, temporaryDirectory } from './support/fakes.ts';
import { type ModelDevice, modelDevice } from './support/model-device.ts';
import { type ModelHost, modelHost } from './support/model-host.ts';

interface Stage {
  readonly tunnel: Tunnel;
  readonly host: ModelHost;
  readonly device: ModelDevice;
  readonly directory: string;
  readonly lines: string[];
  /** Where an initiation may go. */
  readonly candidates: DeviceRequest['candidates'];
  readonly write: (text: string) => void;
  readonly reload: () => Promise<ReloadReport>;
  readonly dryRun: () => Promise<ReloadReport>;
  /** Host, device and journal. */
  readonly facts: () => unknown;
  readonly events: () => string[];
  readonly close: () => Promise<TunnelEnd>;
}

const [OWN, A, B, C] = Array.from({ length: 4 }, () => formatKey(generatePrivateKey())) as [
  string,
  string,
  string,
  string,
];
const PEER_A = peer(A, '10.0.0.2/32', ['Endpoint = 192.0.2.1:1']);
const PEER_B = peer(B, '10.1.0.0/16', ['Endpoint = 192.0.2.2:2', 'PersistentKeepalive = 25']);

function peer(privateKey: string, allowed: string, lines: readonly string[] = []): string[] {
  return ['[Peer]', `PublicKey = ${publicText(privateKey)}`, `AllowedIPs = ${allowed}`, ...lines];
}

function publicText(privateKey: string): string {
  return formatKey(publicKeyOf(Uint8Array.from(Buffer.from(privateKey, 'base64'))));
}

function file(lines: readonly string[], ...peers: readonly string[][]): string {
  return ['[Interface]', `PrivateKey = ${OWN}`, 'Address = 10.0.0.1/24', ...lines, ...peers.flat(), ''].join('\n');
}

const FIRST = file(['ListenPort = 5', 'MTU = 1400'], PEER_A, PEER_B);

async function stage(
  text = FIRST,
  lookup: LookUp = async () => ['192.0.2.77'],
  part: Partial<TunnelRequest> = {},
): Promise<Stage> {
  const directory = temporaryDirectory();
  const path = join(directory, 'wg0.conf');
  const record = join(directory, 'events');
  const write = (config: string): void => writeFileSync(path, config.replaceAll('RECORD', record), { mode: 0o600 });
  write(text);
  const host = modelHost();
  const { log, lines } = keptLog();
  let device: ModelDevice | null = null;
  let candidates: DeviceRequest['candidates'] = () => null;
  const load = () => loadConfig(path);
  const run: ModelHost['run'] = (command) =>
    command.args.join(' ') === 'link show dev wg0'
      ? Promise.resolve({ status: 1, stdout: '', stderr: '' })
      : host.run(command);
  const tunnel = await bringUp(
    {
      ...{ name: 'wg0', config: load().config, load, lanes: null, mtu: null, directory, version: '', log },
      ...{ report: () => {}, signal: new AbortController().signal },
      ...part,
    },
    {
      ...{ run, lookup },
      openDevice: async (request) => {
        const model = modelDevice(request.config);
        device = model;
        candidates = request.candidates;
        let end: (end: TunnelEnd) => void = () => {};
        const closed = new Promise<TunnelEnd>((resolve) => {
          end = resolve;
        });
        const close = async (): Promise<void> => end({ reason: 'closed', error: null });
        return { ...model, configure: model.configure, status: () => null, snapshot: async () => null, close, closed };
      },
    },
  );
  if (device === null) throw new Error('no device was opened');
  const model: ModelDevice = device;
  const journal = journalPath(directory, 'wg0');
  return {
    ...{ tunnel, host, device, directory, lines, write },
    candidates: (initiation) => candidates(initiation),
    reload: async () => readReloadReport(await callControl(directory, 'wg0', 'reload')),
    dryRun: async () => readReloadReport(await callControl(directory, 'wg0', 'difference')),
    facts: () => structuredClone([host.facts(), model.settings(), undoings(journal)]),
    events: () => (existsSync(record) ? readFileSync(record, 'utf8').trim().split('\n') : []),
    close: async () => {
      await tunnel.close({ reason: '', error: null });
      return await tunnel.closed;
    },
  };
}

/** What a journal holds, in no order. */
function undoings(journal: string): string[] {
  if (!existsSync(journal)) return [];
  return (JSON.parse(readFileSync(journal, 'utf8')) as unknown[]).map((undo) => JSON.stringify(undo)).sort();
}

function texts({ changes }: ReloadReport): string[] {
  return changes.map(({ sign, text }) => `${sign} ${text}`);
}

describe('a reload', () => {
  it('applies everything that differs, and tells it', async () => {
    const all = await stage();
    const shared = formatKey(generatePresharedKey());
    all.write(
      file(
        ['ListenPort = 6', 'MTU = 1300', 'FwMark = 0x20', 'Address = fd00::1/64', '#gigatun: TxQueueLength = 40'],
        peer(A, '10.0.0.2/32, 10.3.0.0/16', ['Endpoint = 192.0.2.1:1', `PresharedKey = ${shared}`]),
        peer(C, 'fd01::/48'),
      ),
    );
    const sessions = all.device.peers.get(publicText(A))?.session;
    const report = await all.reload();
    expect(texts(report)).toEqual([
      '~ mtu 1400 -> 1300',
      '- route 10.1.0.0/16',
      '+ address fd00::1/64',
      '+ route 10.3.0.0/16',
      '+ route fd01::/48',
      '~ TxQueueLength auto -> 40',
      '~ listen port 5 -> 6',
      '~ fwmark off -> 0x20',
      `- peer ${publicText(B)}`,
      `~ peer ${publicText(A)} preshared key set, allowed ips +10.3.0.0/16`,
      `+ peer ${publicText(C)} fd01::/48`,
    ]);
    expect(report).toMatchObject({ interface: 'wg0', dryRun: false, changesCount: 11, needsRestart: [], warnings: [] });
    expect(JSON.stringify(report)).not.toContain(shared);
    expect(all.host.facts()).toMatchObject({
      addresses: ['-4 10.0.0.1/24', '-6 fd00::1/64'],
      routes: ['-4 10.3.0.0/16 dev wg0', '-6 fd01::/48 dev wg0'],
      link: { mtu: '1300', txqueuelen: '40' },
    });
    expect(all.device.settings()).toMatchObject({ listenPort: 6, fwmark: 0x20 });
    expect([...all.device.peers.keys()]).toEqual([publicText(A), publicText(C)]);
    expect(all.device.peers.get(publicText(A))).toMatchObject({
      session: sessions,
      endpoint: { address: '192.0.2.1' },
    });
    expect(await all.dryRun()).toMatchObject({ changesCount: 0, changes: [] });
    await all.close();
  });

  it('of an unchanged file does nothing and says so', async () => {
    const all = await stage();
    const [before, count] = [all.facts(), all.host.commandsCount];
    expect(await all.reload()).toMatchObject({ changesCount: 0, changes: [] });
    expect(all.facts()).toEqual(before);
    expect(all.host.commandsCount).toBe(count);
    expect(all.device.changes).toEqual([]);
    await all.close();
  });

  it('that is only tried says the same and does nothing', async () => {
    const all = await stage();
    all.write(file(['ListenPort = 6'], PEER_A, peer(C, '0.0.0.0/0')));
    const before = all.facts();
    const tried = await all.dryRun();
    expect(all.facts()).toEqual(before);
    expect(tried.dryRun).toBe(true);
    expect(texts(await all.reload())).toEqual(texts(tried));
    expect(all.facts()).not.toEqual(before);
    await all.close();
  });

  it('of a bad file changes nothing and names every problem', async () => {
    const all = await stage();
    all.write(file(['ListenPort = 99999', 'MTU = x'], PEER_A));
    const before = all.facts();
    expect(await rejectionOf(all.reload())).toMatchObject({
      code: 'CONFIG',
      message: expect.stringMatching(/wg0\.conf:4:14: .*\n.*wg0\.conf:5:7: /),
    });
    expect(all.facts()).toEqual(before);
    await all.close();
  });

  it('without its file says so', async () => {
    const all = await stage();
    rmSync(join(all.directory, 'wg0.conf'));
    expect(await rejectionOf(all.reload())).toMatchObject({ code: 'NOT_FOUND' });
    all.write(FIRST);
    expect((await all.reload()).changesCount).toBe(0);
    await all.close();
  });

  it.each([0, 1, 2, 3, 4, 5, 6, 7, 8])('that fails at command %d takes back what it had done', async (at) => {
    const all = await stage(file(['MTU = 1400'], PEER_A, peer(B, '0.0.0.0/0')));
    all.write(
      file(['MTU = 1300', 'Address = 10.9.0.1/24', 'FwMark = 99'], peer(A, '0.0.0.0/0'), peer(C, '10.8.0.0/16')),
    );
    const before = all.facts();
    // The first two commands look at the rules, whose failure shows nothing.
    all.host.failAt = all.host.commandsCount + 2 + at;
    expect(await rejectionOf(all.reload())).toMatchObject({ message: expect.stringContaining('not today') });
    expect(all.facts()).toEqual(before);
    expect(all.device.changes).toEqual([]);
    expect((await all.reload()).changesCount).toBeGreaterThan(0);
    await all.close();
  });

  it('that the device refuses takes back what was done to the link', async () => {
    const all = await stage();
    all.write(file(['ListenPort = 6', 'MTU = 1300'], PEER_A, peer(C, '10.8.0.0/16')));
    const before = all.facts();
    all.device.failsWith = new GigatunError('BUSY', 'port 6 is taken');
    expect(await rejectionOf(all.reload())).toMatchObject({ code: 'BUSY', message: 'port 6 is taken' });
    expect(all.facts()).toEqual(before);
    all.device.failsWith = null;
    expect((await all.reload()).changesCount).toBe(6);
    await all.close();
  });

  it('names what needs a restart, and applies the rest', async () => {
    const all = await stage();
    all.write(
      file(['ListenPort = 6', '#gigatun: Lanes = 3', '#gigatun: Memory = 500', '#gigatun: Offloads = none'], PEER_A),
    );
    const report = await all.reload();
    expect(report.needsRestart).toEqual([
      'Lanes 1 -> 3',
      'Memory none -> 500',
      'Offloads tun-tso, tun-uso, udp-gro, udp-gso -> none',
    ]);
    expect(all.device.settings().listenPort).toBe(6);
    expect(await all.reload()).toMatchObject({ changesCount: 0, needsRestart: report.needsRestart });
    await all.close();
  });

  it('leaves alone what the command line said', async () => {
    const all = await stage(FIRST, undefined, { mtu: 1_350, lanes: 2 });
    all.write(file(['MTU = 1300', '#gigatun: Lanes = 4', 'ListenPort = 5'], PEER_A, PEER_B));
    expect(await all.reload()).toMatchObject({ changesCount: 0, needsRestart: [] });
    await all.close();
  });

  it('that would take IPv6 away, or cannot fit, changes nothing', async () => {
    const all = await stage(file(['MTU = 1400'], PEER_A, peer(C, 'fd01::/48')));
    all.write(file(['MTU = 1000'], PEER_A, peer(C, 'fd01::/48')));
    const before = all.facts();
    expect(await rejectionOf(all.reload())).toMatchObject({ code: 'CONFIG' });
    expect(all.facts()).toEqual(before);
    await all.close();
  });

  it('runs no hooks; those of the new file run on the way down', async () => {
    const hooks = (word: string): string[] =>
      ['PreUp', 'PostUp', 'PreDown', 'PostDown'].map((key) => `${key} = echo ${word} ${key} >> RECORD`);
    const all = await stage(file(hooks('old'), PEER_A));
    all.write(file(hooks('new'), PEER_A));
    const report = await all.reload();
    expect(texts(report)).toEqual(['~ PreDown commands 1 -> 1', '~ PostDown commands 1 -> 1']);
    expect(report.warnings).toHaveLength(2);
    await all.close();
    expect(all.events()).toEqual(['old PreUp', 'old PostUp', 'new PreDown', 'new PostDown']);
  });

  it('with another private key tells the device, and shows public keys', async () => {
    const all = await stage();
    const other = formatKey(generatePrivateKey());
    all.write(FIRST.replace(OWN, other));
    expect(texts(await all.reload())).toEqual([`~ public key ${publicText(OWN)} -> ${publicText(other)}`]);
    expect(formatKey(all.device.settings().privateKey ?? new Uint8Array(0))).toBe(other);
    await all.close();
  });

  it('of Announce in [Interface] tells each peer', async () => {
    const all = await stage();
    all.write(file(['ListenPort = 5', 'MTU = 1400', '#gigatun: Announce = off'], PEER_A, PEER_B));
    expect(texts(await all.reload())).toEqual([A, B].map((key) => `~ peer ${publicText(key)} announce on -> off`));
    expect([...all.device.peers.values()].map(({ announces }) => announces)).toEqual([false, false]);
    await all.close();
  });

  it('keeps the mark of a default route, and removes all of it when it goes', async () => {
    const all = await stage(file(['MTU = 1400'], peer(A, '0.0.0.0/0')));
    all.write(file(['MTU = 1400', 'Address = 10.0.0.8/32'], peer(A, '0.0.0.0/0'), peer(B, '10.1.0.0/16')));
    expect(texts(await all.reload())).toEqual([
      '+ address 10.0.0.8/32',
      '+ route 10.1.0.0/16',
      `+ peer ${publicText(B)} 10.1.0.0/16`,
    ]);
    expect(all.device.settings().fwmark).toBe(51_820);
    expect(JSON.stringify(all.host.facts())).toContain('not fwmark 51820 table 51820');
    all.write(file(['MTU = 1400'], PEER_B));
    await all.reload();
    expect(all.device.settings().fwmark).toBe(0);
    expect(all.host.facts()).toMatchObject({ rules: { '-4': [], '-6': [] }, tables: new Map() });
    expect(existsSync(journalPath(all.directory, 'wg0'))).toBe(false);
    await all.close();
  });
});

describe('names in a reload', () => {
  it('are looked up where they are new, and nowhere else', async () => {
    const asked: string[] = [];
    const all = await stage(file([], peer(A, '10.0.0.2/32', ['Endpoint = a.example:1'])), async (host) => {
      asked.push(host);
      return ['192.0.2.9'];
    });
    all.device.configure({
      peers: [{ publicKey: keyOf(A), endpoint: { address: '192.0.2.200', port: 7 } }],
    });
    const named = peer(B, '10.1.0.0/16', ['Endpoint = b.example:2']);
    all.write(file([], peer(A, '10.0.0.3/32', ['Endpoint = a.example:1']), named));
    await all.reload();
    expect(asked).toEqual(['a.example', 'b.example']);
    expect([...all.device.peers.values()].map(({ endpoint }) => endpoint?.address)).toEqual([
      '192.0.2.200',
      '192.0.2.9',
    ]);
    await all.close();
  });

  it('that do not exist change nothing', async () => {
    const all = await stage(FIRST, async () => {
      throw Object.assign(new Error('no'), { code: 'ENOTFOUND' });
    });
    all.write(file([], PEER_A, peer(C, '10.7.0.0/16', ['Endpoint = nowhere.example:1'])));
    const before = all.facts();
    expect(await rejectionOf(all.reload())).toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('nowhere'),
    });
    expect(all.facts()).toEqual(before);
    await all.close();
  });

  it('are watched from then on, and no longer when they go', async () => {
    const all = await stage(file([], PEER_A), async () => ['192.0.2.9', '2001:db8::9']);
    const endpoint = { address: '192.0.2.9', port: 1 };
    const first = { publicKey: keyOf(A), endpoint, silentMs: Number.POSITIVE_INFINITY, isRetry: false };
    expect(all.candidates(first)).toBe(null);
    all.write(file([], peer(A, '10.0.0.2/32', ['Endpoint = a.example:1'])));
    await all.reload();
    expect(all.candidates(first)).toEqual([endpoint, { address: '2001:db8::9', port: 1 }]);
    all.write(file([], PEER_A));
    await all.reload();
    expect(all.candidates(first)).toBe(null);
    await all.close();
  });

  function keyOf(privateKey: string): Uint8Array {
    return Uint8Array.from(Buffer.from(publicText(privateKey), 'base64'));
  }
});

describe('two at once', () => {
  it('are one and a clear answer', async () => {
    let answer: (addresses: string[]) => void = () => {};
    const all = await stage(
      FIRST,
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
    all.write(file([], PEER_A, peer(C, '10.7.0.0/16', ['Endpoint = c.example:1'])));
    const first = all.reload();
    await expect.poll(() => rejectionOf(all.dryRun())).toMatchObject({ code: 'BUSY' });
    answer(['192.0.2.3']);
    expect((await first).changesCount).toBeGreaterThan(0);
    await all.close();
  });

  it('a reload and the end of the tunnel leave nothing', async () => {
    const all = await stage(FIRST, () => new Promise(() => {}));
    all.write(file([], PEER_A, peer(C, '10.7.0.0/16', ['Endpoint = c.example:1'])));
    const reloading = rejectionOf(all.reload());
    await expect.poll(() => rejectionOf(all.dryRun())).toMatchObject({ code: 'BUSY' });
    expect((await all.close()).error).toBeNull();
    expect(await reloading).toMatchObject({ code: 'GONE' });
    expect(readdirSync(all.directory).filter((name) => name !== 'wg0.conf')).toEqual([]);
  });
});

describe('a signal', () => {
  it('reloads and tells the log', async () => {
    const all = await stage();
    all.write(file(['ListenPort = 6', 'MTU = 1400', '#gigatun: Lanes = 2'], PEER_A, PEER_B));
    await all.tunnel.reload();
    const said = all.lines.filter((line) => !line.startsWith('debug'));
    expect(said.slice(-3)).toEqual([
      'info ~ listen port 5 -> 6 name=wg0',
      'warn needs a restart: Lanes 1 -> 2 name=wg0',
      'info reloaded name=wg0 changesCount=1',
    ]);
    all.write('x');
    await all.tunnel.reload();
    expect(all.lines.at(-1)).toMatch(/^error not reloaded: .*wg0\.conf:1:1/);
    await all.close();
  });
});

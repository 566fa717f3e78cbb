/**
 * The same wg-quick session twice, with wireguard-go and with gigatun behind it, as anybody would run it who changes one
 * environment variable: all that it prints, shows and leaves is equal. The other end is wireguard-go, brought up by wg-quick too.
 *
 *     a: 10.81.0.1, fd81::1 --TUN--[10.99.0.1]== veth ==[10.99.0.2]--TUN-- b: 10.81.0.2, fd81::2, and 10.82.0.2 on lo
 *
 * Keys, ports and names are the same in both sessions; what differs is the implementation's name, its banner, and times.
 */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { formatKey, generatePresharedKey, generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { Lab, type Namespace } from '../../src/lab/namespaces.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

type Implementation = 'gigatun' | 'wireguard-go';

/** Unique on this machine: UAPI sockets of all namespaces lie in one directory. */
const A = `gq${process.pid}a`;
const B = `gq${process.pid}b`;
const KEY_A = generatePrivateKey();
const KEY_B = generatePrivateKey();
const PRESHARED = formatKey(generatePresharedKey());
const END_MS = 10_000;

/** What a session printed and left, line by line, with a title before each part. */
type Transcript = readonly string[];

/** One session: two ends, of which a's implementation is the one under test. */
class Session {
  readonly implementation: Implementation;
  readonly lab: Lab = new Lab();
  readonly a: Namespace = this.lab.addNamespace('a');
  readonly b: Namespace = this.lab.addNamespace('b');
  readonly file: string = join(this.lab.directory, `${A}.conf`);
  readonly #fileB: string = join(this.lab.directory, `${B}.conf`);
  readonly #transcript: string[] = [];
  /** Null: the test's own, behind the session's. */
  #path: string | null = null;

  constructor(implementation: Implementation) {
    this.implementation = implementation;
    for (const namespace of [this.a, this.b])
      namespace.runSync(['sysctl', '-q', 'net.ipv6.conf.default.addr_gen_mode=1']);
    this.lab.connect(this.a, this.b);
    this.b.ip('addr add 10.82.0.2/32 dev lo', 'addr add fd82::2/128 dev lo');
    this.#writePrograms();
    const peer = ['[Peer]', `PublicKey = ${formatKey(publicKeyOf(KEY_A))}`, `PresharedKey = ${PRESHARED}`];
    writeFileSync(
      this.#fileB,
      `[Interface]\nPrivateKey = ${formatKey(KEY_B)}\nAddress = 10.81.0.2/24, fd81::2/64\nListenPort = 5201\n${peer.join('\n')}\nAllowedIPs = 10.81.0.1/32, fd81::1/128\n`,
      { mode: 0o600 },
    );
  }

  /** `gigatun` for the PATH, and a resolvconf that notes what it is told. */
  #writePrograms(): void {
    const directory = join(this.lab.directory, 'bin');
    mkdirSync(directory);
    const options = { mode: 0o755 };
    writeFileSync(join(directory, 'gigatun'), `#!/bin/sh\nexec '${process.execPath}' '${CLI}' "$@"\n`, options);
    const note = `{ echo "resolvconf $*"; case $1 in -a) cat;; esac; } >> '${this.lab.directory}/resolvconf.log'`;
    writeFileSync(join(directory, 'resolvconf'), `#!/bin/sh\n[ "$1" = -l ] || ${note}\n`, options);
  }

  writeConfig(lines: readonly string[], allowedIps: string): void {
    const text = [
      ...['[Interface]', `PrivateKey = ${formatKey(KEY_A)}`, 'Address = 10.81.0.1/24, fd81::1/64', 'ListenPort = 5200'],
      ...lines,
      ...['[Peer]', `PublicKey = ${formatKey(publicKeyOf(KEY_B))}`, `PresharedKey = ${PRESHARED}`],
      ...[`AllowedIPs = ${allowedIps}`, 'Endpoint = 10.99.0.2:5201', ''],
    ];
    writeFileSync(this.file, text.join('\n'), { mode: 0o600 });
  }

  /** Runs a shell command in a, with the variable set, and notes what came of it. */
  async note(command: string): Promise<void> {
    this.#note(command, await this.#shell(this.a, command, this.implementation));
  }

  async upB(): Promise<void> {
    await this.#shell(this.b, `wg-quick up '${this.#fileB}'`, 'wireguard-go');
  }

  /** Notes all that wg-quick sets up in a. */
  async noteState(): Promise<void> {
    for (const command of [
      `ip -o addr show dev ${A}`,
      `ip -o link show dev ${A}`,
      'ip -4 rule; ip -6 rule',
      `ip -4 route show table all dev ${A}; ip -6 route show table all dev ${A}`,
      'nft list ruleset',
      'sysctl net.ipv4.conf.all.src_valid_mark',
      `wg show ${A} dump`,
      `wg show ${A}`,
      `wg showconf ${A}`,
    ])
      await this.note(command);
  }

  /** Kills the program behind a's interface: the only one whose command ends with its name. */
  async kill(): Promise<void> {
    const pids = this.a
      .runSync(['pgrep', '-f', ` ${A}$`])
      .trim()
      .split('\n')
      .map(Number);
    expect(pids).toHaveLength(1);
    process.kill(pids[0], 'SIGKILL');
    const deadline = performance.now() + END_MS;
    while (this.a.hasDevice(A) && performance.now() < deadline) await delay(20);
  }

  /** From now on, wg-quick finds all programs but nft. It is copied, for it looks beside itself, too. */
  hideNft(): void {
    const directory = join(this.lab.directory, 'no-nft');
    mkdirSync(directory);
    for (const folder of (process.env.PATH ?? '').split(':').filter((path) => existsSync(path)))
      for (const program of readdirSync(folder)) {
        const link = join(directory, program);
        if (existsSync(link) || program === 'nft' || !existsSync(join(folder, program))) continue;
        if (program === 'wg-quick') copyFileSync(join(folder, program), link);
        else symlinkSync(join(folder, program), link);
      }
    this.#path = `${join(this.lab.directory, 'bin')}:${directory}`;
  }

  /** Rules of iptables, without times and counts. */
  async noteIptables(): Promise<void> {
    const plain = "grep -v '^#' | sed -E 's/ ?\\[[0-9]+:[0-9]+\\]//'";
    await this.note(`iptables-save 2>&1 | ${plain}; ip6tables-save 2>&1 | ${plain}`);
  }

  noteFile(path: string): void {
    this.#note(path, existsSync(path) ? readFileSync(path, 'utf8') : 'none');
  }

  /** Everything that a session could leave. */
  async noteEnd(): Promise<void> {
    const deadline = performance.now() + END_MS;
    while (existsSync(`/var/run/wireguard/${A}.sock`) && performance.now() < deadline) await delay(20);
    this.#note('socket', existsSync(`/var/run/wireguard/${A}.sock`) ? 'left' : 'gone');
    for (const command of [
      'ip -o link show type tun',
      'ip -4 rule; ip -6 rule',
      'nft list ruleset',
      `wg show interfaces | grep -c ${A}`,
    ])
      await this.note(command);
    this.noteFile(join(this.lab.directory, 'resolvconf.log'));
  }

  get transcript(): Transcript {
    return this.#transcript;
  }

  async close(): Promise<void> {
    for (const [namespace, device] of [
      [this.a, A],
      [this.b, B],
    ] as const)
      if (namespace.hasDevice(device)) namespace.ip(`link delete dev ${device}`);
    const deadline = performance.now() + END_MS;
    const sockets = [A, B].map((device) => `/var/run/wireguard/${device}.sock`);
    while (sockets.some((path) => existsSync(path)) && performance.now() < deadline) await delay(20);
    this.lab.close();
  }

  async #shell(namespace: Namespace, command: string, implementation: Implementation): Promise<string> {
    const env = {
      PATH: this.#path ?? `${join(this.lab.directory, 'bin')}:${process.env.PATH}`,
      WG_QUICK_USERSPACE_IMPLEMENTATION: implementation,
      GIGATUN_RUN_DIR: join(this.lab.directory, 'run'),
      // What two gigatuns tell each other would show in the peer's figures.
      GIGATUN_ANNOUNCE: 'off',
    };
    const { code, stdout, stderr } = await namespace.run(['bash', '-c', command], { mayFail: true, env });
    return `${stdout}${stderr}status ${code}`;
  }

  #note(title: string, text: string): void {
    this.#transcript.push(`== ${this.#normalize(title)}`, ...this.#normalize(text).split('\n'));
  }

  #normalize(text: string): string {
    return text
      .replaceAll(this.lab.directory, 'LAB')
      .replaceAll(/^\[#\] (gigatun|wireguard-go) /gm, '[#] IMPLEMENTATION ')
      .replaceAll(/^[┌│└].*\n/gm, '')
      .replaceAll(/\b1[78]\d{8}\b/g, 'TIME')
      .replaceAll(/latest handshake: .*/g, 'latest handshake: TIME')
      .replaceAll(/valid_lft \S+ preferred_lft \S+/g, '');
  }
}

/** Runs the same session with both and expects the same of it. */
async function expectSame(session: (session: Session) => Promise<void>): Promise<Transcript> {
  const transcripts: Transcript[] = [];
  for (const implementation of ['wireguard-go', 'gigatun'] as const) {
    const running = new Session(implementation);
    try {
      await session(running);
      transcripts.push(running.transcript);
    } finally {
      await running.close();
    }
  }
  expect(transcripts[1]).toEqual(transcripts[0]);
  return transcripts[1];
}

/** How each ping of a session ended. */
function pings(transcript: Transcript): string[] {
  return transcript.filter((_, at) => transcript[at - 1]?.startsWith('== ping'));
}

/** Where the kernel has WireGuard, wg-quick asks no program in user space. */
function kernelHasWireguard(): boolean {
  return existsSync('/sys/module/wireguard') || spawnSync('modinfo', ['wireguard'], { stdio: 'ignore' }).status === 0;
}

const NEEDS = ['nft', 'ping', 'sysctl', 'wg', 'wg-quick', 'wireguard-go'];
const skipped = kernelHasWireguard() ? ', skipped because this kernel has WireGuard: wg-quick uses that' : '';

describe.skipIf(skipped !== '')(`with WG_QUICK_USERSPACE_IMPLEMENTATION=gigatun${skipped}`, () => {
  tunnelSuite('wg-quick', NEEDS, () => {
    it('brings addresses, routes, hooks and name servers up, reloads, and takes all down', async () => {
      const hooks = ['PreUp', 'PostUp', 'PreDown', 'PostDown'].map((key) => `${key} = echo ${key} %i`);
      const transcript = await expectSame(async (session) => {
        session.writeConfig(
          [...hooks, 'DNS = 10.81.0.2, example.com', 'MTU = 1380'],
          '10.81.0.2/32, 10.82.0.0/24, fd81::2/128, fd82::/64',
        );
        await session.upB();
        await session.note(`wg-quick up '${session.file}'`);
        await session.note('ping -q -c 1 -W 5 10.82.0.2 > /dev/null');
        await session.note('ping -q -c 1 -W 5 fd82::2 > /dev/null');
        await session.noteState();
        await session.note(`wg-quick up '${session.file}'`);
        await session.note(`wg-quick strip '${session.file}'`);
        session.writeConfig(
          ['ListenPort = 5203', 'MTU = 1380', ...hooks, 'DNS = 10.81.0.2'],
          '10.81.0.2/32, 10.82.0.2/32',
        );
        await session.note(`wg syncconf ${A} <(wg-quick strip '${session.file}')`);
        await session.note('ping -q -c 1 -W 5 10.82.0.2 > /dev/null');
        await session.noteState();
        await session.note(`wg-quick save '${session.file}'`);
        session.noteFile(session.file);
        await session.note(`wg-quick down '${session.file}'`);
        await session.noteEnd();
        await session.note(`wg-quick down '${session.file}'`);
      });
      expect(transcript.filter((line) => line === 'status 0').length).toBeGreaterThan(25);
      for (const line of [`PostUp ${A}`, `[#] resolvconf -a ${A} -m 0 -x`, 'gone']) expect(transcript).toContain(line);
    });

    it('sends everything into the tunnel, but for its own datagrams', async () => {
      const transcript = await expectSame(async (session) => {
        session.writeConfig([], '0.0.0.0/0, ::/0');
        await session.upB();
        await session.note(`wg-quick up '${session.file}'`);
        await session.note('ping -q -c 1 -W 5 10.82.0.2 > /dev/null');
        await session.note('ping -q -c 1 -W 5 fd82::2 > /dev/null');
        await session.note('ping -q -c 1 -W 5 10.99.0.2 > /dev/null');
        await session.noteState();
        await session.note(`wg-quick down '${session.file}'`);
        await session.noteEnd();
      });
      expect(transcript).toContain('[#] ip -4 rule add not fwmark 51820 table 51820');
      expect(transcript.filter((line) => /fwmark: 0xca6c/.test(line))).toHaveLength(1);
    });

    it('recovers from a program that was killed, by a second up or by what down can do', async () => {
      const transcript = await expectSame(async (session) => {
        session.writeConfig([], '0.0.0.0/0, ::/0');
        await session.upB();
        await session.note(`wg-quick up '${session.file}'`);
        await session.note('ping -q -c 1 -W 5 10.82.0.2 > /dev/null');
        await session.kill();
        await session.note(`ip -o link show type tun; test -S /var/run/wireguard/${A}.sock`);
        await session.note(`wg-quick down '${session.file}'`);
        await session.note(`wg-quick up '${session.file}'`);
        await session.note('ping -q -c 1 -W 5 10.82.0.2 > /dev/null');
        await session.note('ping -q -c 1 -W 5 fd82::2 > /dev/null');
        await session.noteState();
        await session.kill();
        await session.note(`wg-quick up '${session.file}'`);
        await session.note('ping -q -c 1 -W 5 10.82.0.2 > /dev/null');
        await session.note(`wg-quick down '${session.file}'`);
        await session.noteEnd();
      });
      expect(transcript).toContain(`wg-quick: \`${A}' is not a WireGuard interface`);
      expect(pings(transcript)).toEqual(['status 0', 'status 0', 'status 0', 'status 0']);
      expect(transcript.slice(-20).join('\n')).toContain('== socket\ngone');
    });

    it.each(['off', '1234'])('obeys Table = %s', async (table) => {
      await expectSame(async (session) => {
        session.writeConfig([`Table = ${table}`], '10.81.0.2/32, 10.82.0.0/24');
        await session.upB();
        await session.note(`wg-quick up '${session.file}'`);
        await session.note('ping -q -c 1 -W 5 10.81.0.2 > /dev/null');
        await session.noteState();
        await session.note(`wg-quick down '${session.file}'`);
        await session.noteEnd();
      });
    });

    it('saves what wg has changed, and is up again at once', async () => {
      const transcript = await expectSame(async (session) => {
        session.writeConfig(['SaveConfig = true'], '10.81.0.2/32');
        await session.upB();
        await session.note(`wg-quick up '${session.file}'`);
        await session.note(
          `wg set ${A} peer ${formatKey(publicKeyOf(KEY_B))} persistent-keepalive 21 allowed-ips 10.81.0.0/24`,
        );
        await session.note('ping -q -c 1 -W 5 10.81.0.2 > /dev/null');
        await session.note(`wg-quick down '${session.file}' && wg-quick up '${session.file}'`);
        session.noteFile(session.file);
        await session.note('ping -q -c 1 -W 5 10.81.0.2 > /dev/null');
        await session.note(`wg-quick down '${session.file}'`);
        await session.noteEnd();
      });
      expect(transcript).toContain('PersistentKeepalive = 21');
    });

    it('undoes a start that fails', async () => {
      await expectSame(async (session) => {
        session.writeConfig(['PostUp = false'], '10.81.0.2/32');
        await session.note(`wg-quick up '${session.file}'`);
        await session.noteEnd();
      });
    });
  });

  tunnelSuite('wg-quick without nft', ['iptables', ...NEEDS], () => {
    it('sends everything into the tunnel by rules of iptables, and takes them away', async () => {
      const transcript = await expectSame(async (session) => {
        session.writeConfig([], '0.0.0.0/0, ::/0');
        await session.upB();
        session.hideNft();
        await session.note('type -p nft');
        await session.noteIptables();
        await session.note(`wg-quick up '${session.file}'`);
        for (const address of ['10.82.0.2', 'fd82::2', '10.99.0.2'])
          await session.note(`ping -q -c 1 -W 5 ${address} > /dev/null`);
        await session.noteIptables();
        await session.note('ip -4 rule; ip -6 rule');
        await session.note(`wg show ${A} dump`);
        await session.note(`wg-quick down '${session.file}'`);
        await session.noteIptables();
        await session.noteEnd();
      });
      expect(transcript.slice(0, 2)).toEqual(['== type -p nft', 'status 1']);
      expect(transcript).toContain('[#] iptables-restore -n');
      expect(transcript.filter((line) => line.includes('--restore-mark')).length).toBeGreaterThan(1);
      expect(pings(transcript)).toEqual(['status 0', 'status 0', 'status 0']);
    });
  });
});

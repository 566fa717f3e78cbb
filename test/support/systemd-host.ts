/**
 * A systemd that is real and alone: process 1 of namespaces of its own, in the network namespace of a lab, below a cgroup of
 * its own. It reads the units in systemd/ as they are, and `gigatun` is in its search path; what it and its services write is
 * gone with it. systemd-boot.sh tells what it finds there.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Namespace } from '../../src/lab/namespaces.ts';
import { type Finished, isAlive, type Running, run, start } from '../../src/lab/process.ts';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));
const BOOT = fileURLToPath(new URL('systemd-boot.sh', import.meta.url));
const PROGRAMS = ['/lib/systemd/systemd', '/usr/lib/systemd/systemd'] as const;
const READY_MS = 20_000;
const COMMAND_MS = 30_000;
const GROUP_NAME = /^gigatun-systemd-(\d+)-/;
let hostsOpened = 0;

/** Why there can be no such systemd on this machine, or null. Needs what namespaces need, too. */
export function systemdMissing(): string | null {
  if (!PROGRAMS.some((path) => existsSync(path))) return 'there is no systemd (Debian package systemd)';
  const group = makeGroup();
  if (group === null) return 'there is no cgroup version 2 hierarchy that may be written';
  removeGroup(group);
  const overlay =
    'mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w && mount -t overlay -o lowerdir=/etc,upperdir=/mnt/u,workdir=/mnt/w t /etc';
  const { status } = spawnSync('unshare', ['--mount', '--cgroup', 'sh', '-c', overlay], { stdio: 'ignore' });
  return status === 0 ? null : 'there are no cgroup namespaces or no overlays to mount';
}

export class SystemdHost {
  readonly #outside: Running;
  readonly #group: string;
  /** As the host sees it. */
  readonly #pid: number;

  private constructor(outside: Running, group: string, pid: number) {
    this.#outside = outside;
    this.#group = group;
    this.#pid = pid;
  }

  /** Starts it and waits until it has started what it starts by itself. */
  static async open(namespace: Namespace): Promise<SystemdHost> {
    const group = makeGroup();
    if (group === null) throw new Error('no cgroup version 2 hierarchy: ask systemdMissing() first');
    const systemd = PROGRAMS.find((path) => existsSync(path)) ?? PROGRAMS[0];
    const unshare = ['unshare', '--pid', '--mount', '--cgroup', '--uts', '--ipc', '--fork', '--kill-child=KILL'];
    const boot = namespace.command([...unshare, BOOT, REPOSITORY, process.execPath, systemd]);
    // Into the cgroup first: in the network namespace, `ip netns exec` has another /sys.
    const outside = start(['sh', '-c', 'echo 0 > "$0" && exec "$@"', join(group, 'cgroup.procs'), ...boot], {
      timeoutMs: Number.POSITIVE_INFINITY,
    });
    try {
      await outside.waitUntil(() => childOf(outside.pid) !== null, READY_MS, 'start a process');
      const host = new SystemdHost(outside, group, childOf(outside.pid) ?? 0);
      await host.#ready();
      return host;
    } catch (error) {
      outside.signal('SIGKILL');
      await outside.finished.catch(() => undefined);
      removeGroup(group);
      throw error;
    }
  }

  /** Runs a program beside the services; a failure is a result. */
  async run(command: readonly string[]): Promise<Finished> {
    const enter = ['nsenter', '--target', `${this.#pid}`, '--mount', '--pid', '--net', '--cgroup', '--uts', '--ipc'];
    return await run([...enter, ...command], { mayFail: true, timeoutMs: COMMAND_MS });
  }

  /** Runs systemctl; throws with what the services said when it fails. */
  async systemctl(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.run(['systemctl', ...words]);
    if (code !== 0) throw new Error(`systemctl ${words.join(' ')}: status ${code}: ${stderr}${this.log}`);
    return stdout.trimEnd();
  }

  async property(unit: string, name: string): Promise<string> {
    return await this.systemctl('show', '--property', name, '--value', unit);
  }

  /** Waits until a property of a unit has a value. */
  async until(unit: string, name: string, value: string): Promise<void> {
    const deadline = performance.now() + READY_MS;
    for (let seen = ''; seen !== value; await delay(20)) {
      seen = await this.property(unit, name);
      if (seen !== value && performance.now() > deadline)
        throw new Error(`${name} of ${unit} did not become ${value}, it is ${seen}: ${this.log}`);
    }
  }

  /** A path of the host's files, as this process reaches it. */
  path(path: string): string {
    return `/proc/${this.#pid}/root${path}`;
  }

  /** Writes a file that only root may read. */
  write(path: string, text: string): void {
    writeFileSync(this.path(path), text, { mode: 0o600 });
  }

  /** What all services have said. */
  get log(): string {
    const path = this.path('/run/log');
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  }

  /** Ends it and everything that it runs, at once: its processes go with their process 1. */
  async close(): Promise<void> {
    this.#outside.signal('SIGKILL');
    await this.#outside.finished;
    const deadline = performance.now() + READY_MS;
    while (!removeGroup(this.#group) && performance.now() < deadline) await delay(20);
  }

  async #ready(): Promise<void> {
    const deadline = performance.now() + READY_MS;
    for (;;) {
      const { stdout, stderr } = await this.run(['systemctl', 'is-system-running']);
      if (stdout.trim() === 'running') return;
      if (this.#outside.ended || performance.now() > deadline)
        throw new Error(`systemd did not start: ${stdout}${stderr}${this.#outside.output}`);
      await delay(50);
    }
  }
}

function childOf(pid: number): number | null {
  try {
    return Number.parseInt(readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8'), 10) || null;
  } catch {
    return null;
  }
}

/** A cgroup below the root of the version 2 hierarchy; those of processes that are gone are removed. Null if there can be none. */
function makeGroup(): string | null {
  const root = /^\S+ (\S+) cgroup2 rw/m.exec(readFileSync('/proc/self/mounts', 'utf8'))?.[1];
  if (root === undefined) return null;
  for (const name of readdirSync(root)) {
    const pid = GROUP_NAME.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) removeGroup(join(root, name));
  }
  hostsOpened += 1;
  const group = join(root, `gigatun-systemd-${process.pid}-${hostsOpened}`);
  try {
    mkdirSync(group);
    return group;
  } catch {
    return null;
  }
}

/** Removes a cgroup with those below it; false while a process is in one. */
function removeGroup(group: string): boolean {
  try {
    for (const entry of readdirSync(group, { withFileTypes: true }))
      if (entry.isDirectory()) removeGroup(join(group, entry.name));
    rmdirSync(group);
    return true;
  } catch {
    return !existsSync(group);
  }
}

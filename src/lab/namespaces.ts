/**
 * A lab: network namespaces of its own on one machine, joined by veth pairs. Names hold the process id, so that labs never
 * meet; a lab goes when it is closed or its process exits, and what a killed process left behind goes when the next opens.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onExit } from './cleanup.ts';
import { type Finished, isAlive, type Running, type RunOptions, run, runSync, start } from './process.ts';

const NAMESPACES = '/run/netns';
const OWN_NAME = /^(?:gt|gigatun-lab)-(\d+)-/;

let labsOpened = 0;

export interface LinkOptions {
  /** First two octets and the subnet of the addresses, 0 to 255: 10.99.SUBNET.1 and .2, fd99:SUBNET::1 and ::2. Default 0. */
  readonly subnet?: number;
  /** Default 1500. */
  readonly mtu?: number;
  /** false: the kernel cuts super-packets before they enter the veth, as on a plain network. Needs ethtool. Default true. */
  readonly offloads?: boolean;
  /** Name of the veth in both namespaces. Default 'veth'. */
  readonly device?: string;
}

/** One side of a veth pair. */
export interface LinkEnd {
  readonly namespace: Namespace;
  readonly device: string;
  readonly address4: string;
  readonly address6: string;
}

export class Lab {
  /** A directory of the lab's own (mode 0700) for configurations and sockets; it goes with the lab. */
  readonly directory: string;
  readonly #prefix: string;
  readonly #namespaces: Namespace[] = [];
  readonly #takeBackExit: () => void;

  /** Needs root (or a user namespace) and `ip`; see privilege.ts. */
  constructor() {
    removeStale();
    labsOpened += 1;
    this.#prefix = `gt-${process.pid}-${labsOpened}`;
    this.directory = mkdtempSync(join(tmpdir(), `gigatun-lab-${process.pid}-`));
    this.#takeBackExit = onExit(() => this.close());
  }

  /** Adds a namespace, its loopback up. The label makes it known to people: 'a', 'router'. */
  addNamespace(label: string): Namespace {
    const name = `${this.#prefix}-${label}`;
    runSync(['ip', 'netns', 'add', name]);
    const namespace = new Namespace(name);
    this.#namespaces.push(namespace);
    namespace.ip('link set lo up');
    return namespace;
  }

  /** Joins two namespaces by a veth pair that is up and has IPv4 and IPv6 addresses at both ends. */
  connect(a: Namespace, b: Namespace, options: LinkOptions = {}): [LinkEnd, LinkEnd] {
    const { subnet = 0, mtu = 1500, device = 'veth', offloads = true } = options;
    a.ip(`link add ${device} mtu ${mtu} type veth peer name ${device} mtu ${mtu} netns ${b.name}`);
    const ends: [LinkEnd, LinkEnd] = [linkEnd(a, device, subnet, 1), linkEnd(b, device, subnet, 2)];
    for (const { namespace, address4, address6 } of ends) {
      namespace.ip(
        `addr add ${address4}/24 dev ${device}`,
        `addr add ${address6}/64 dev ${device} nodad`,
        `link set ${device} up`,
      );
      if (!offloads)
        namespace.runSync([
          'ethtool',
          '-K',
          device,
          'tso',
          'off',
          'gso',
          'off',
          'gro',
          'off',
          'tx-udp-segmentation',
          'off',
        ]);
    }
    return ends;
  }

  /** Removes the namespaces and everything in them. Programs in them are to be stopped before. Twice is fine. */
  close(): void {
    this.#takeBackExit();
    for (const namespace of this.#namespaces.splice(0)) removeNamespace(namespace.name);
    rmSync(this.directory, { recursive: true, force: true });
  }
}

function linkEnd(namespace: Namespace, device: string, subnet: number, host: number): LinkEnd {
  return { namespace, device, address4: `10.99.${subnet}.${host}`, address6: `fd99:${subnet.toString(16)}::${host}` };
}

export class Namespace {
  readonly name: string;

  /** A namespace that exists; Lab makes them. */
  constructor(name: string) {
    this.name = name;
  }

  /** The command that runs `command` in here. */
  command(command: readonly string[]): string[] {
    return ['ip', 'netns', 'exec', this.name, ...command];
  }

  run(command: readonly string[], options?: RunOptions): Promise<Finished> {
    return run(this.command(command), options);
  }

  runSync(command: readonly string[], input?: string): string {
    return runSync(this.command(command), input);
  }

  /** The process id of what it returns is the program's own: `ip netns exec` becomes the program. */
  start(command: readonly string[], options?: RunOptions): Running {
    return start(this.command(command), options);
  }

  /** Runs `ip` commands, one a line, in here; the first that fails throws. */
  ip(...lines: string[]): void {
    runSync(['ip', '-netns', this.name, '-batch', '-'], `${lines.join('\n')}\n`);
  }

  hasDevice(device: string): boolean {
    return spawnSync('ip', ['-netns', this.name, 'link', 'show', 'dev', device], { stdio: 'ignore' }).status === 0;
  }

  /** Drops a random share (0 to 1, in steps of 1/10,000) of the packets that arrive at a device; 0 takes the loss away. Needs nft. */
  loseIncoming(device: string, share: number): void {
    const tenThousandths = Math.round(share * 10_000);
    const none = ['add table netdev loss', 'delete table netdev loss'];
    const some = [
      'add table netdev loss',
      `add chain netdev loss incoming { type filter hook ingress device "${device}" priority 0; }`,
      `add rule netdev loss incoming numgen random mod 10000 < ${tenThousandths} counter drop`,
    ];
    this.runSync(['nft', '-f', '-'], `${[...none, ...(tenThousandths === 0 ? [] : some)].join('\n')}\n`);
  }

  /** Packets that `loseIncoming` has dropped since it was set. */
  lostIncoming(): number {
    const rules = this.runSync(['nft', 'list', 'table', 'netdev', 'loss']);
    return Number(/counter packets (\d+)/.exec(rules)?.[1] ?? 0);
  }

  /** Limits what leaves a device, megabits per second (token bucket, at most 50 ms of queue). Needs tc. */
  limitRate(device: string, megabits: number): void {
    this.runSync([
      'tc',
      'qdisc',
      'replace',
      'dev',
      device,
      'root',
      'tbf',
      'rate',
      `${megabits}mbit`,
      'burst',
      '128kb',
      'latency',
      '50ms',
    ]);
  }
}

/** Removes namespaces and directories of processes that are gone, with what still runs in them. Returns the namespaces' names. */
export function removeStale(): string[] {
  const stale = listNamespaces().filter(isStale);
  for (const name of stale) removeForeignNamespace(name);
  for (const name of readdirSync(tmpdir()).filter(isStale)) removeForeign(join(tmpdir(), name));
  return stale;
}

function isStale(name: string): boolean {
  const pid = OWN_NAME.exec(name)?.[1];
  return pid !== undefined && !isAlive(Number(pid));
}

/** Names of all namespaces that `ip netns` knows on this machine. */
export function listNamespaces(): string[] {
  try {
    return readdirSync(NAMESPACES);
  } catch {
    return []; // the directory appears with the first namespace
  }
}

/** Another process may be removing it, too: it has gone then, which is what was wanted. */
function removeForeignNamespace(name: string): void {
  try {
    for (const pid of runSync(['ip', 'netns', 'pids', name]).split('\n').filter(Boolean)) endForeign(Number(pid));
    removeNamespace(name);
  } catch (error) {
    if (listNamespaces().includes(name)) throw error;
  }
}

function endForeign(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself meanwhile.
  }
}

/** The directory may be another user's. */
function removeForeign(directory: string): void {
  try {
    rmSync(directory, { recursive: true, force: true });
  } catch {
    // Theirs to remove.
  }
}

function removeNamespace(name: string): void {
  if (listNamespaces().includes(name)) runSync(['ip', 'netns', 'delete', name]);
}

/**
 * Probe of a running tunnel: asks its control socket twice, looks at its process in /proc between, and asks the routing
 * table of its own network namespace for the way to its peers. Nothing of it is changed.
 */
import { type RunCommand, runCommand } from '../../control/command.ts';
import { ControlClient } from '../../control/control-client.ts';
import { readPrivileges } from '../../control/privilege-report.ts';
import { readSnapshot, readStatus } from '../../control/status-reader.ts';
import type { DeviceStatus } from '../../device-types.ts';
import { type DeviceSnapshot, difference } from '../../ledger/snapshot.ts';
import type { GrowingCount, ProcessFacts, Route, RouteFacts, TunnelFacts } from '../tunnel-facts.ts';
import { readCgroup } from './cgroup.ts';
import type { Host } from './host.ts';
import { NETWORK_SETTINGS, probeForwarding } from './machine.ts';
import { countInList, fieldOf, parseTransmitDrops, parseUdpSockets } from './proc-text.ts';
import { routeMtu } from './route.ts';

/** Each costs one or two runs of `ip`. */
const ENDPOINTS_MAX = 16;
const ROUTE_LIMIT_MS = 5_000;

/** A tunnel between its two looks. */
export class TunnelProbe {
  readonly name: string;
  readonly #client: ControlClient;
  readonly #host: Host;
  readonly #first: DeviceSnapshot;
  readonly #firstSeen: Seen | null;
  readonly #pid: number;

  private constructor(host: Host, name: string, client: ControlClient, first: DeviceSnapshot, status: DeviceStatus) {
    this.#host = host;
    this.name = name;
    this.#client = client;
    this.#first = first;
    this.#pid = status.pid;
    this.#firstSeen = look(host, status);
  }

  /** The first look. Throws GigatunError as ControlClient does. */
  static async begin(host: Host, directory: string, name: string): Promise<TunnelProbe> {
    const client = await ControlClient.connect(directory, name);
    try {
      const status = readStatus(await client.call('status'));
      return new TunnelProbe(host, name, client, readSnapshot(await client.call('stats')), status);
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /** The second look; ends the probe. */
  async end(): Promise<TunnelFacts> {
    try {
      const total = readSnapshot(await this.#client.call('stats'));
      const status = readStatus(await this.#client.call('status'));
      const seen = status.pid === this.#pid ? look(this.#host, status) : null;
      return {
        name: this.name,
        status,
        total,
        recent: difference(total, this.#first),
        process: seen === null ? null : await this.#processFacts(seen),
        routes: await routesTo(status, seen === null ? null : runIn(this.#host, status.pid)),
      };
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#client.close();
  }

  async #processFacts(seen: Seen): Promise<ProcessFacts> {
    const cgroup = readCgroup(this.#host, this.#pid);
    const settings = await readSettings(this.#host, this.#pid);
    const procStatus = this.#host.read(`/proc/${this.#pid}/status`) ?? '';
    return {
      coresAllowed: countInList(fieldOf(procStatus, 'Cpus_allowed_list') ?? ''),
      quotaCores: cgroup.quotaCores,
      throttledCount: cgroup.throttledCount,
      memoryLimitBytes: cgroup.memoryLimitBytes,
      tunDropped: seen.tunDropped === null ? null : grown(this.#firstSeen?.tunDropped ?? null, seen.tunDropped),
      socketDropped: grown(this.#firstSeen?.socketDropped ?? null, seen.socketDropped),
      strangersOnPort: seen.strangersOnPort,
      privileges: readPrivileges(procStatus),
      network: probeForwarding((path) => settings.get(path) ?? null),
    };
  }
}

interface Seen {
  readonly tunDropped: number | null;
  readonly socketDropped: number;
  readonly strangersOnPort: number;
}

/** What /proc tells of the tunnel's process; null unless it is really its own: it must hold sockets on its port. */
function look(host: Host, { pid, listenPort, interface: name }: DeviceStatus): Seen | null {
  const folder = `/proc/${pid}`;
  const links = host.list(`${folder}/fd`).map((fd) => host.link(`${folder}/fd/${fd}`));
  const own = new Set(links.flatMap((link) => /^socket:\[(\d+)\]$/.exec(link ?? '')?.[1] ?? []));
  const sockets = ['udp', 'udp6'].flatMap((file) => parseUdpSockets(host.read(`${folder}/net/${file}`) ?? ''));
  const onPort = sockets.filter(({ port }) => port === listenPort);
  const ours = onPort.filter(({ inode }) => own.has(String(inode)));
  if (ours.length === 0) return null;
  return {
    tunDropped: parseTransmitDrops(host.read(`${folder}/net/dev`) ?? '', name),
    socketDropped: ours.reduce((sum, { drops }) => sum + drops, 0),
    strangersOnPort: onPort.length - ours.length,
  };
}

function grown(before: number | null, total: number): GrowingCount {
  return { total, recent: before === null ? 0 : Math.max(0, total - before) };
}

/** Runs programs in the network namespace of a process: here, or through nsenter. */
function runIn(host: Host, pid: number): RunCommand {
  if (isHere(host, pid)) return runCommand;
  return async ({ program, args, ...rest }) =>
    await runCommand({ program: 'nsenter', args: [`--net=/proc/${pid}/ns/net`, '--', program, ...args], ...rest });
}

function isHere(host: Host, pid: number): boolean {
  const there = host.link(`/proc/${pid}/ns/net`);
  return there !== null && there === host.link('/proc/self/ns/net');
}

/** The ways to the endpoints; without a way to run `ip` there, all are skipped. */
async function routesTo({ peers, fwmark }: DeviceStatus, run: RunCommand | null): Promise<RouteFacts> {
  const addresses = [...new Set(peers.flatMap(({ endpoint }) => addressOf(endpoint) ?? []))];
  const routes: Route[] = [];
  if (run === null) return { routes, skipped: addresses.length };
  const startMs = performance.now();
  for (const address of addresses.slice(0, ENDPOINTS_MAX)) {
    if (performance.now() - startMs > ROUTE_LIMIT_MS) break;
    try {
      routes.push({ address, family: address.includes(':') ? 6 : 4, mtu: await routeMtu(run, address, fwmark) });
    } catch {
      // Neither ip nor nsenter is there: what cannot be looked at is counted as skipped.
      break;
    }
  }
  return { routes, skipped: addresses.length - routes.length };
}

/** The address in `1.2.3.4:5` or `[fe80::1%eth0]:5`. */
export function addressOf(endpoint: string | null): string | null {
  return /^\[?([0-9A-Fa-f:.]+(?:%[\w.-]+)?)\]?:\d+$/.exec(endpoint ?? '')?.[1] ?? null;
}

/** What /proc/sys/net shows depends on the namespace of who reads. */
async function readSettings(host: Host, pid: number): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const run = runIn(host, pid);
  for (const path of NETWORK_SETTINGS) found.set(path, await readSetting(host, pid, run, path));
  return found;
}

async function readSetting(host: Host, pid: number, run: RunCommand, path: string): Promise<string> {
  if (isHere(host, pid)) return host.read(path) ?? '';
  try {
    return (await run({ program: 'cat', args: [path] })).stdout;
  } catch {
    return '';
  }
}

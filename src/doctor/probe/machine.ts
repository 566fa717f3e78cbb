/** Probes of the machine that only read: kernel, limits, cores, clock, what else is in the network namespace. */
import { release } from 'node:os';
import { arch, version } from 'node:process';
import { isInstalled } from '../../control/link-facts.ts';
import type { ClockFacts } from '../clock.ts';
import type { CpuFacts } from '../cpu.ts';
import { type NetworkFacts, USUAL_PORT } from '../network.ts';
import type { MemoryFacts, SystemFacts } from '../system.ts';
import type { CgroupFacts } from './cgroup.ts';
import { type Host, readNumber } from './host.ts';
import {
  countInList,
  fieldOf,
  kilobytesOf,
  parseCpuInfo,
  parseOpenFilesMax,
  parseUdpSockets,
  type sharesOf,
} from './proc-text.ts';

const CLOCK_READINGS = 1_000;
const CLOCK_ROUNDS = 10;

export function probeSystem(host: Host, cgroup: CgroupFacts, addonProblem: string | null): SystemFacts {
  return {
    kernel: release(),
    node: version,
    architecture: arch,
    addonProblem,
    ipProgram: isInstalled('ip'),
    openFilesMax: parseOpenFilesMax(host.read('/proc/self/limits') ?? ''),
    memory: probeMemory(host, cgroup),
  };
}

export function probeMemory(host: Host, cgroup: CgroupFacts): MemoryFacts {
  return {
    availableBytes: kilobytesOf(host.read('/proc/meminfo') ?? '', 'MemAvailable'),
    limitBytes: cgroup.memoryLimitBytes,
    usedBytes: cgroup.memoryUsedBytes,
  };
}

/** @param shares of the cores' time while the doctor watched. */
export function probeCpu(host: Host, cgroup: CgroupFacts, shares: ReturnType<typeof sharesOf>): CpuFacts {
  const online = countInList(host.read('/sys/devices/system/cpu/online') ?? '') ?? 1;
  const allowed = countInList(fieldOf(host.read('/proc/self/status') ?? '', 'Cpus_allowed_list') ?? '');
  return {
    model: parseCpuInfo(host.read('/proc/cpuinfo') ?? '').model ?? 'unknown processor',
    coresOnline: online,
    coresAllowed: Math.min(online, allowed ?? online),
    quotaCores: cgroup.quotaCores,
    throttledCount: cgroup.throttledCount,
    load: Number.parseFloat(host.read('/proc/loadavg') ?? '0') || 0,
    busyShare: shares?.busy ?? null,
    stealShare: shares?.steal ?? null,
  };
}

export function probeClock(host: Host): ClockFacts {
  const folder = '/sys/devices/system/clocksource/clocksource0';
  const words = (name: string): string[] =>
    (host.read(`${folder}/${name}`) ?? '').split(/\s+/).filter((word) => word !== '');
  return {
    source: words('current_clocksource')[0] ?? null,
    available: words('available_clocksource'),
    readNs: timeClock(),
    realMs: Date.now(),
    entropyBits: readNumber(host, '/proc/sys/kernel/random/entropy_avail'),
  };
}

/** Best mean of some rounds: what else runs on the core can only add to it. */
function timeClock(): number {
  let bestNs = Number.POSITIVE_INFINITY;
  for (let round = 0; round < CLOCK_ROUNDS; round += 1) {
    const startMs = performance.now();
    let nowMs = startMs;
    for (let reading = 0; reading < CLOCK_READINGS; reading += 1) nowMs = performance.now();
    bestNs = Math.min(bestNs, ((nowMs - startMs) * 1e6) / CLOCK_READINGS);
  }
  return bestNs;
}

/** @param tunnels ports of the running tunnels of this network namespace. */
export function probeNetwork(
  host: Host,
  tunnels: readonly { readonly name: string; readonly port: number }[],
): NetworkFacts {
  const sockets = ['udp', 'udp6'].map((file) => host.read(`/proc/self/net/${file}`));
  const held = sockets.flatMap((text) => parseUdpSockets(text ?? ''));
  return {
    ...probeForwarding((path) => host.read(path)),
    kernelInterfaces: kernelInterfaces(host),
    usualPortTaken: sockets[0] === null ? null : held.some(({ port }) => port === USUAL_PORT),
    usualPortTunnels: tunnels.filter(({ port }) => port === USUAL_PORT).map(({ name }) => name),
  };
}

/** Settings that `probeForwarding` reads; what they say depends on the network namespace of who reads. */
export const NETWORK_SETTINGS: readonly string[] = [
  '/proc/sys/net/ipv4/ip_forward',
  '/proc/sys/net/ipv6/conf/all/forwarding',
  '/proc/sys/net/ipv4/conf/all/rp_filter',
];

/** Settings of the network namespace in which `read` reads. */
export function probeForwarding(
  read: (path: string) => string | null,
): Pick<NetworkFacts, 'forwarding4' | 'forwarding6' | 'reversePathFilter'> {
  const [forwarding4 = null, forwarding6 = null, reversePathFilter = null] = NETWORK_SETTINGS.map((path) => {
    const text = read(path)?.trim() ?? '';
    return /^\d$/.test(text) ? Number(text) : null;
  });
  const isOn = (value: number | null): boolean | null => (value === null ? null : value !== 0);
  return { forwarding4: isOn(forwarding4), forwarding6: isOn(forwarding6), reversePathFilter };
}

function kernelInterfaces(host: Host): string[] {
  return host
    .list('/sys/class/net')
    .filter((name) => /^DEVTYPE=wireguard$/m.test(host.read(`/sys/class/net/${name}/uevent`) ?? ''))
    .toSorted();
}

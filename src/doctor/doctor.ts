/**
 * The doctor: probes the machine, watches the cores and every tunnel that it was asked for over one stretch of time, judges
 * it all, and names what limits throughput most. It changes nothing but for a TUN interface that it makes and removes.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { runningNames } from '../control/control-client.ts';
import { messageOf } from '../control/system-error.ts';
import { GigatunError } from '../errors.ts';
import { about, type Check, type Status, worstOf } from './check.ts';
import type { MachineFacts } from './facts.ts';
import { judgeMachine, judgeTunnel, tunnelCheck } from './judge.ts';
import { findLimit, type Limit } from './limit.ts';
import { probeAead } from './probe/aead.ts';
import { readCgroup } from './probe/cgroup.ts';
import { type Host, thisHost } from './probe/host.ts';
import { probeClock, probeCpu, probeNetwork, probeSystem } from './probe/machine.ts';
import { loadNative } from './probe/native.ts';
import { parseStat, sharesOf, type Ticks } from './probe/proc-text.ts';
import { probeTun } from './probe/tun.ts';
import { TunnelProbe } from './probe/tunnel.ts';
import { probeUdp } from './probe/udp.ts';
import type { TunnelFacts } from './tunnel-facts.ts';

export interface DoctorOptions {
  /** Interface to look at; null for all that run. */
  readonly interface: string | null;
  /** Directory of the control sockets. */
  readonly directory: string;
  /** How long cores and tunnels are watched, ms. */
  readonly watchMs: number;
  /** AEAD back end that GIGATUN_AEAD forces, '' for none. */
  readonly aead: string;
}

export interface Diagnosis {
  /** Milliseconds since the epoch. */
  readonly takenAtMs: number;
  /** The worst of all checks. */
  readonly status: Status;
  readonly checks: readonly Check[];
  readonly limit: Limit;
}

/** Examines this machine and its tunnels. What cannot be looked at is a finding, not an exception. */
export async function examine(options: DoctorOptions): Promise<Diagnosis> {
  const { tunnels, machine, problems } = await gather(thisHost, options);
  const checks = [...judgeMachine(machine), ...problems, ...tunnels.flatMap((tunnel) => judgeTunnel(tunnel, machine))];
  return {
    takenAtMs: Date.now(),
    status: worstOf(checks),
    checks,
    limit: findLimit(machine, tunnels, checks),
  };
}

interface Gathered {
  readonly machine: MachineFacts;
  readonly tunnels: readonly TunnelFacts[];
  /** What stood in the way of looking at a tunnel. */
  readonly problems: readonly Check[];
}

/** The probes that compute come first, so that they are not watched themselves. */
async function gather(host: Host, options: DoctorOptions): Promise<Gathered> {
  const native = await loadNative();
  const tools = typeof native === 'string' ? null : native;
  const cgroup = readCgroup(host, 'self');
  const tun = probeTun(tools?.addon ?? null);
  const udp = probeUdp(host, tools);
  const aead = probeAead(host, tools?.addon ?? null, options.aead);
  const clock = probeClock(host);
  const { tunnels, problems, shares } = await watch(host, options);
  const ports = tunnels.map(({ name, status }) => ({ name, port: status.listenPort }));
  const machine = {
    system: probeSystem(host, cgroup, typeof native === 'string' ? native : null),
    ...{ tun, udp, aead, clock },
    cpu: probeCpu(host, cgroup, shares),
    network: probeNetwork(host, ports),
  };
  return { machine, tunnels, problems };
}

interface Watched extends Omit<Gathered, 'machine'> {
  readonly shares: ReturnType<typeof sharesOf>;
}

async function watch(host: Host, options: DoctorOptions): Promise<Watched> {
  const problems: Check[] = [];
  const names = await namesToWatch(options, problems);
  const note = (name: string, error: unknown): void => {
    // One that ends while all are looked at is no patient; one that was asked for by name is.
    if (options.interface !== null || !isGone(error)) problems.push(problemOf(name, error));
  };
  const probes = await settleAll(names, note, (name) => TunnelProbe.begin(host, options.directory, name));
  const before = ticks(host);
  await delay(options.watchMs);
  const shares = sharesOf(before, ticks(host));
  const began = new Map(probes.map((probe) => [probe.name, probe]));
  const tunnels = await settleAll([...began.keys()], note, async (name) => await began.get(name)?.end());
  return { tunnels: tunnels.filter((tunnel) => tunnel !== undefined), problems, shares };
}

function ticks(host: Host): Ticks | null {
  return parseStat(host.read('/proc/stat') ?? '');
}

async function namesToWatch(options: DoctorOptions, problems: Check[]): Promise<readonly string[]> {
  if (options.interface !== null) return [options.interface];
  try {
    return await runningNames(options.directory);
  } catch (error) {
    const finding = about('tunnels', 'tunnels', 'not seen').note(messageOf(error), 'run gigatun doctor as root');
    problems.push({ ...finding, group: 'tunnel', interface: null });
    return [];
  }
}

/** Does one thing for each interface; what it fails with is noted. */
async function settleAll<Result>(
  names: readonly string[],
  note: (name: string, error: unknown) => void,
  act: (name: string) => Promise<Result>,
): Promise<Result[]> {
  const results = await Promise.allSettled(names.map(act));
  return results.flatMap((result, index) => {
    if (result.status === 'fulfilled') return [result.value];
    note(names[index] ?? '', result.reason);
    return [];
  });
}

function isGone(error: unknown): boolean {
  return error instanceof GigatunError && (error.code === 'NOT_FOUND' || error.code === 'GONE');
}

function problemOf(name: string, error: unknown): Check {
  const code = error instanceof GigatunError ? error.code : null;
  const check = about('running', 'interface', isGone(error) ? 'not running' : 'no answer');
  if (code === 'PERMISSION') return tunnelCheck(name, check.note(messageOf(error), 'run gigatun doctor as root'));
  if (code === 'BUSY') return tunnelCheck(name, check.note(messageOf(error)));
  return tunnelCheck(name, check.fail(messageOf(error), `gigatun up ${name}; its log is beside its control socket`));
}

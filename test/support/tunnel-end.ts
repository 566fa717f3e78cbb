/**
 * The two ends of a tunnel under test, each in a namespace of a lab pair, run by gigatun or by wireguard-go:
 *
 *     a: 10.77.0.1, fd77::1 --TUN--[10.99.S.1 fd99:S::1]== veth ==[10.99.S.2 fd99:S::2]--TUN-- b: 10.77.0.2, fd77::2
 *
 * An end that is not told the other's endpoint can only answer: so tests fix who initiates.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { callControl } from '../../src/control/control-client.ts';
import { isAlive } from '../../src/control/control-server.ts';
import type { DeviceStatus } from '../../src/device-types.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import type { Lab } from '../../src/lab/namespaces.ts';
import {
  configureDevice,
  type EndPlan,
  type Pair,
  type PairOptions,
  planPair,
  quickConfig,
  wireguardConfig,
} from '../../src/lab/pair.ts';
import type { Finished, Running } from '../../src/lab/process.ts';
import type { DeviceSnapshot } from '../../src/ledger/snapshot.ts';
import type { Timing } from '../../src/protocol/constants.ts';
import { programPath } from './tunnel-programs.ts';
import { openScene, type Scene } from './tunnel-scene.ts';

const READY_MS = 10_000;

export interface EndOptions {
  /** Default 'gigatun'. */
  readonly program?: 'gigatun' | 'wireguard-go';
  /** false: without the peer's endpoint, so that this end is never the first to speak. Default true. */
  readonly knowsEndpoint?: boolean;
  /** Instead of the plan's: where this end looks for its peer, `ADDRESS:PORT`. */
  readonly endpoint?: string;
  /** gigatun: worker threads, default 1. */
  readonly lanes?: number;
  /** gigatun: other times than WireGuard's. */
  readonly timing?: Partial<Timing>;
  /** gigatun: options for node itself. */
  readonly nodeArguments?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** gigatun: edits the configuration file. */
  readonly edit?: (config: string) => string;
}

/** One end, whatever program runs it. */
export interface End {
  readonly plan: EndPlan;
  readonly program: Running;
  /** What it knows as its peer's endpoint, `ADDRESS:PORT`, or null. */
  peerEndpoint(): Promise<string | null>;
  /** Ends it by a signal and waits until it has ended. */
  end(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<Finished>;
}

export interface Tunnel extends Scene {
  readonly pair: Pair;
  readonly a: End;
  readonly b: End;
}

/** Brings both ends up, in namespaces of their own; what had come up goes again when something fails. */
export async function openTunnel(
  pairOptions: PairOptions = {},
  a: EndOptions = {},
  b: EndOptions = {},
): Promise<Tunnel> {
  return await openScene(async (lab, onClose) => {
    const pair = planPair(lab, pairOptions);
    return { pair, ...(await openEnds(lab, pair, a, b, onClose)) };
  });
}

/** Brings up a, then b, within a scene. */
export async function openEnds(
  lab: Lab,
  pair: Pair,
  aOptions: EndOptions,
  bOptions: EndOptions,
  onClose: (close: () => Promise<unknown>) => void,
): Promise<{ readonly a: End; readonly b: End }> {
  const a = await openEnd(lab, pair.a, aOptions);
  onClose(() => a.end('SIGTERM'));
  const b = await openEnd(lab, pair.b, bOptions);
  onClose(() => b.end('SIGTERM'));
  return { a, b };
}

/** Brings one end up. Throws with what the program said when it fails. */
export async function openEnd(lab: Lab, plan: EndPlan, options: EndOptions = {}): Promise<End> {
  return options.program === 'wireguard-go'
    ? await openWireguardGo(lab, plan, options)
    : await openGigatun(lab, plan, options);
}

/** Starts gigatun without waiting for anything: the program may fail, which is the test then. */
export function startGigatun(lab: Lab, plan: EndPlan, options: EndOptions = {}): GigatunEnd {
  const { lanes = 1, timing, nodeArguments = [], env = {}, edit = (config: string) => config } = options;
  const directory = join(lab.directory, `run-${plan.device}`);
  const file = join(lab.directory, `${plan.device}.conf`);
  mkdirSync(directory, { mode: 0o700, recursive: true });
  writeFileSync(file, edit(withEndpoint(quickConfig(plan), options)), { mode: 0o600 });
  const command =
    timing === undefined
      ? [CLI, 'up', file, '--foreground', '--lanes', String(lanes)]
      : [programPath('tunnel-daemon'), file, String(lanes), JSON.stringify(timing)];
  const program = plan.namespace.start([process.execPath, ...nodeArguments, ...command], {
    env: { ...env, GIGATUN_RUN_DIR: directory },
    timeoutMs: Number.POSITIVE_INFINITY,
  });
  return new GigatunEnd(plan, program, directory);
}

/** `openEnd` for gigatun. */
export async function openGigatun(lab: Lab, plan: EndPlan, options: EndOptions = {}): Promise<GigatunEnd> {
  const end = startGigatun(lab, plan, options);
  try {
    let serves = false;
    const probe = setInterval(
      () =>
        end
          .status()
          .then(() => (serves = true))
          .catch(() => undefined),
      50,
    );
    await end.program.waitUntil(() => serves, READY_MS, 'serve its control socket').finally(() => clearInterval(probe));
    return end;
  } catch (error) {
    await end.end('SIGKILL');
    throw error;
  }
}

async function openWireguardGo(lab: Lab, plan: EndPlan, options: EndOptions): Promise<End> {
  const { namespace, device } = plan;
  const env = { LOG_LEVEL: 'error', ...options.env };
  const program = namespace.start(['wireguard-go', '-f', device], { env, timeoutMs: Number.POSITIVE_INFINITY });
  const end = new WireguardGoEnd(plan, program);
  try {
    // Not by `wg`, which removes a socket that does not answer yet; wireguard-go would end then.
    let serves = false;
    const probe = setInterval(async () => {
      serves ||= await isAlive(`/var/run/wireguard/${device}.sock`);
    }, 20);
    await program.waitUntil(() => serves, READY_MS, 'serve its socket').finally(() => clearInterval(probe));
    const file = join(lab.directory, `${device}.wg`);
    writeFileSync(file, withEndpoint(wireguardConfig(plan), options), { mode: 0o600 });
    namespace.runSync(['wg', 'setconf', device, file]);
    configureDevice(plan);
    return end;
  } catch (error) {
    await end.end('SIGKILL');
    // It logs to standard output, which the error does not quote.
    throw new Error(`wireguard-go: ${program.output}`, { cause: error });
  }
}

function withEndpoint(config: string, { knowsEndpoint = true, endpoint }: EndOptions): string {
  if (!knowsEndpoint) return config.replace(/^Endpoint = .*\n/m, '');
  return endpoint === undefined ? config : config.replace(/^Endpoint = .*$/m, `Endpoint = ${endpoint}`);
}

export class GigatunEnd implements End {
  readonly plan: EndPlan;
  readonly program: Running;
  /** Where its control socket lies. */
  readonly directory: string;

  constructor(plan: EndPlan, program: Running, directory: string) {
    this.plan = plan;
    this.program = program;
    this.directory = directory;
  }

  async status(): Promise<DeviceStatus> {
    return (await callControl(this.directory, this.plan.device, 'status')) as DeviceStatus;
  }

  /** Its books, exact at this moment. */
  async snapshot(): Promise<DeviceSnapshot> {
    return (await callControl(this.directory, this.plan.device, 'stats')) as DeviceSnapshot;
  }

  /** Drops by reason, without those that never happened. */
  async drops(): Promise<Record<string, number>> {
    const { total } = await this.snapshot();
    return Object.fromEntries(Object.entries(total.drops).filter(([, count]) => count > 0));
  }

  /** Resident memory now, bytes. */
  residentBytes(): number {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${this.program.pid}/status`, 'utf8'))?.[1]) * 1_024;
  }

  async peerEndpoint(): Promise<string | null> {
    const { peers } = await this.status();
    return peers[0]?.endpoint ?? null;
  }

  async end(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<Finished> {
    return await endProgram(this.program, signal);
  }
}

class WireguardGoEnd implements End {
  readonly plan: EndPlan;
  readonly program: Running;

  constructor(plan: EndPlan, program: Running) {
    this.plan = plan;
    this.program = program;
  }

  async peerEndpoint(): Promise<string | null> {
    const { stdout } = await this.plan.namespace.run(['wg', 'show', this.plan.device, 'endpoints']);
    const endpoint = stdout.trim().split('\t')[1] ?? '(none)';
    return endpoint === '(none)' ? null : endpoint;
  }

  async end(signal: 'SIGTERM' | 'SIGINT' | 'SIGKILL'): Promise<Finished> {
    return await endProgram(this.program, signal);
  }
}

/** Datagrams that the kernel dropped because the buffer of this end's outer sockets was full: last column of /proc/net/udp. */
export function outerSocketDrops({ plan }: End): number {
  const port = `:${plan.listenPort.toString(16).toUpperCase().padStart(4, '0')}`;
  const tables = plan.namespace.runSync(['cat', '/proc/net/udp', '/proc/net/udp6']);
  const lines = tables.split('\n').map((line) => line.trim().split(/\s+/));
  return lines.filter((fields) => fields[1]?.endsWith(port)).reduce((sum, fields) => sum + Number(fields.at(-1)), 0);
}

async function endProgram(program: Running, signal: NodeJS.Signals): Promise<Finished> {
  program.signal(signal);
  const force = setTimeout(() => program.signal('SIGKILL'), READY_MS);
  try {
    return await program.finished;
  } finally {
    clearTimeout(force);
  }
}

/** The end as one that gigatun runs; throws where another program does. */
export function expectGigatun(end: End): GigatunEnd {
  if (end instanceof GigatunEnd) return end;
  throw new Error(`expected gigatun at ${end.plan.device}`);
}

/** Where packets may have stayed, for the message of a failed test: both ends' drops, TUN queues and socket buffers. */
export async function lossReport({ a, b }: Tunnel): Promise<string> {
  const reports = await Promise.all(
    [a, b].map(async (end) => ({
      end: end.plan.device,
      drops: end instanceof GigatunEnd ? await end.drops() : 'not told',
      outerSocketDrops: outerSocketDrops(end),
      tunQueueDrops: tunQueueDrops(end),
    })),
  );
  return JSON.stringify(reports);
}

/**
 * Lets the kernel queue ten thousand packets for each TUN, instead of 500. Tests that count each packet use it: a machine
 * that is too busy to let the tunnel run for a second is none of their business.
 */
export function widenQueues({ a, b }: Tunnel): void {
  for (const { plan } of [a, b]) plan.namespace.ip(`link set dev ${plan.device} txqueuelen 10000`);
}

/** Packets that the kernel dropped because the queue of this end's TUN interface was full. */
export function tunQueueDrops({ plan }: End): number {
  const [link] = JSON.parse(plan.namespace.runSync(['ip', '-json', '-s', 'link', 'show', plan.device])) as [
    { stats64: { tx: { dropped: number } } },
  ];
  return link.stats64.tx.dropped;
}

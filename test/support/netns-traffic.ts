/** What the namespace suite sends, and how it sees what came: echoes, iperf3, and the kernel's own counts. */
import { setTimeout as delay } from 'node:timers/promises';
import { at } from '../../src/lab/iperf.ts';
import type { Namespace } from '../../src/lab/namespaces.ts';
import { failure } from '../../src/lab/process.ts';
import type { NetnsEnd } from './netns-end.ts';

export const VERSIONS: readonly (4 | 6)[] = [4, 6];
/** IP header and ICMP echo header. */
export const ECHO_HEADERS: Readonly<Record<4 | 6, number>> = { 4: 20 + 8, 6: 40 + 8 };
/** Long enough for a busy machine; what is waited for usually comes at once. */
export const PATIENCE_MS = 20_000;
const POLL_MS = 50;
const IPERF_MS = 40_000;
/** Both sockets' buffers of 128 KiB, which the kernel doubles, and the tunnel's queues. */
const UNDER_WAY_BYTES = 1024 * 1024;
let portsUsed = 0;

export interface EchoOptions {
  /** Bytes behind the ICMP header; such a packet is not fragmented. Default: ping's 56, fragmented at will. */
  readonly length?: number;
  readonly source?: string;
  readonly count?: number;
  /** Hop limit of the request. */
  readonly hops?: number;
  /** How long to wait for each answer. Default 2. */
  readonly waitSeconds?: number;
}

/** How many echoes come back from an address; what ping itself refuses to send counts as none. */
export async function echoes(from: Namespace, address: string, options: EchoOptions = {}): Promise<number> {
  const { length, source, hops, count = 1, waitSeconds = 2 } = options;
  const command = ['ping', '-n', '-i', '0.2', '-c', String(count), '-W', String(waitSeconds)];
  if (length !== undefined) command.push('-M', 'do', '-s', String(length));
  if (hops !== undefined) command.push('-t', String(hops));
  if (source !== undefined) command.push('-I', source);
  const { code, stdout, stderr } = await from.run([...command, address], { mayFail: true });
  const received = Number(/(\d+) received/.exec(stdout)?.[1] ?? Number.NaN);
  if (!Number.isNaN(received)) return received;
  if (code === 2 && /Network is unreachable|Required key|Cannot assign/.test(stderr)) return 0;
  throw new Error(`ping ${address}: ${stdout}${stderr}`);
}

/** Resolves when an echo has come back. Throws when none does in time. */
export async function expectEcho(from: Namespace, address: string, options: EchoOptions = {}): Promise<void> {
  await eventually(`an echo from ${address}${options.length === undefined ? '' : ` of ${options.length} bytes`}`, () =>
    echoes(from, address, { ...options, count: 1 }).then((count) => count === 1),
  );
}

/** Resolves when an end shows its peer at `ADDRESS:PORT`: it may follow a moment before it shows it. */
export async function expectEndpoint(end: NetnsEnd, peer: NetnsEnd, expected: string): Promise<void> {
  let seen = '';
  await eventually(`${end.name} to show its peer at ${expected}`, async () => {
    seen = await end.endpointOf(peer);
    return seen === expected;
  }).catch((error: unknown) => {
    throw new Error(`${end.implementation} shows ${seen}`, { cause: error });
  });
}

/** Resolves once `test` holds; throws when it does not in time. */
export async function eventually(
  what: string,
  test: () => boolean | Promise<boolean>,
  patienceMs: number = PATIENCE_MS,
): Promise<void> {
  const deadline = performance.now() + patienceMs;
  while (!(await test())) {
    if (performance.now() > deadline) throw new Error(`expected ${what} within ${patienceMs} ms`);
    await delay(POLL_MS);
  }
}

/**
 * Sends so many bytes of TCP payload by iperf3. Its receiver stops reading when the sender has handed over the last byte;
 * small windows bound what is under way then, and all the rest must have arrived.
 */
export async function sendTcp(from: Namespace, to: Namespace, address: string, bytes: number): Promise<void> {
  const report = await iperf(from, to, address, ['-n', String(bytes), '-w', '128K']);
  const received = Number(at(report, 'end', 'sum_received', 'bytes'));
  if (!(received >= bytes - UNDER_WAY_BYTES))
    throw new Error(`expected ${bytes} bytes at ${address}, ${received} came`);
}

/**
 * Sends UDP datagrams by iperf3 and returns how many were lost. They are few enough for the receiving socket's and the
 * TUN's queues to hold them all, so that on a way without loss a busy machine loses none.
 */
export async function sendUdp(from: Namespace, to: Namespace, address: string, length: number): Promise<number> {
  const datagrams = Math.max(4, Math.min(60, Math.floor(120_000 / length)));
  const options = ['-u', '-b', '40M', '-l', String(length), '-n', String(datagrams * length)];
  const report = await iperf(from, to, address, options);
  return Number(at(report, 'end', 'sum', 'lost_packets'));
}

async function iperf(from: Namespace, to: Namespace, address: string, options: readonly string[]): Promise<unknown> {
  portsUsed += 1;
  const port = String(5_300 + (portsUsed % 10_000));
  const server = to.start(['iperf3', '-s', '-1', '-p', port, '--forceflush'], { timeoutMs: IPERF_MS });
  try {
    await server.waitForOutput(/Server listening/, PATIENCE_MS);
    const command = ['iperf3', '-c', address, '-p', port, '-J', '--connect-timeout', '20000', ...options];
    const client = await from.run(command, { timeoutMs: IPERF_MS, mayFail: true });
    if (client.code !== 0) throw failure(client);
    return JSON.parse(client.stdout);
  } finally {
    await server.stop();
  }
}

/** Counts packets that come up to a namespace and match an nftables expression, such as `ip saddr 10.0.0.1`. Needs nft. */
export class Tally {
  readonly #namespace: Namespace;
  readonly #table: string;
  static #opened = 0;

  constructor(namespace: Namespace, match: string) {
    Tally.#opened += 1;
    this.#namespace = namespace;
    this.#table = `tally${Tally.#opened}`;
    const rules = [
      `add table inet ${this.#table}`,
      `add chain inet ${this.#table} seen { type filter hook prerouting priority -400; }`,
      `add rule inet ${this.#table} seen ${match} counter`,
    ];
    namespace.runSync(['nft', '-f', '-'], `${rules.join('\n')}\n`);
  }

  get packets(): number {
    const text = this.#namespace.runSync(['nft', 'list', 'table', 'inet', this.#table]);
    return Number(/counter packets (\d+)/.exec(text)?.[1]);
  }
}

/** Packets that the kernel took from an end's TUN interface: what the tunnel delivered. */
export function deliveredBy(end: NetnsEnd): number {
  const [link] = JSON.parse(end.namespace.runSync(['ip', '-json', '-s', 'link', 'show', end.name])) as [
    { stats64: { rx: { packets: number } } },
  ];
  return link.stats64.rx.packets;
}

/** Writes a sysctl of a namespace: 'net.ipv4.ip_forward'. */
export function setSysctl(namespace: Namespace, name: string, value: number): void {
  namespace.runSync(['sh', '-c', `echo ${value} >/proc/sys/${name.replaceAll('.', '/')}`]);
}

/** A device in a process of its own, inside a namespace of a lab, for tests that need its API and real lanes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import type { DeviceChange, DeviceSettings } from '../../src/control/device-change.ts';
import { parseKey } from '../../src/control/key-text.ts';
import type { DeviceOptions, DeviceStatus } from '../../src/device-types.ts';
import type { Namespace } from '../../src/lab/namespaces.ts';
import type { EndPlan } from '../../src/lab/pair.ts';
import type { DeviceSnapshot } from '../../src/ledger/snapshot.ts';
import { programPath } from './tunnel-programs.ts';

const END_MS = 10_000;

/** Options of a device; with `opensTun` the process opens the TUN itself and passes it on. */
export interface RemoteOpen extends Omit<DeviceOptions, 'log' | 'tunFd'> {
  readonly opensTun?: { readonly multiQueue: boolean } | null;
}

export type RemoteCall = { readonly id: number } & (
  | { readonly method: 'open'; readonly argument: RemoteOpen }
  | { readonly method: 'configure'; readonly argument: DeviceChange }
  | { readonly method: 'settings' | 'status' | 'snapshot'; readonly argument: null }
);

interface Answer {
  readonly id: number;
  readonly result?: unknown;
  readonly failure?: { readonly code: string; readonly message: string };
}

export class RemoteDevice implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #waiting: Map<number, (answer: Answer) => void> = new Map();
  #log = '';
  #calls = 0;

  /** Opens a device in a namespace; throws what opening it throws. */
  static async open(namespace: Namespace, options: RemoteOpen): Promise<RemoteDevice> {
    const remote = new RemoteDevice(namespace);
    try {
      await remote.#call('open', options);
      return remote;
    } catch (error) {
      await remote.close();
      throw error;
    }
  }

  private constructor(namespace: Namespace) {
    const [program = '', ...rest] = namespace.command([process.execPath, programPath('device-daemon')]);
    // Advanced: keys and prefixes travel as bytes.
    this.#child = spawn(program, rest, { stdio: ['ignore', 'pipe', 'pipe', 'ipc'], serialization: 'advanced' });
    this.#child.on('message', (answer: Answer) => this.#waiting.get(answer.id)?.(answer));
    for (const stream of [this.#child.stdout, this.#child.stderr])
      stream?.on('data', (text) => {
        this.#log += String(text);
      });
    this.#child.on('exit', () => {
      for (const answer of this.#waiting.values())
        answer({ id: 0, failure: { code: 'GONE', message: `the device's process ended: ${this.#log}` } });
    });
  }

  /** What it has logged. */
  get log(): string {
    return this.#log;
  }

  async configure(change: DeviceChange): Promise<void> {
    await this.#call('configure', change);
  }

  async settings(): Promise<DeviceSettings> {
    return (await this.#call('settings', null)) as DeviceSettings;
  }

  async status(): Promise<DeviceStatus> {
    return (await this.#call('status', null)) as DeviceStatus;
  }

  async snapshot(): Promise<DeviceSnapshot> {
    return (await this.#call('snapshot', null)) as DeviceSnapshot;
  }

  async close(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    if (this.#child.connected) this.#child.disconnect();
    const force = setTimeout(() => this.#child.kill('SIGKILL'), END_MS);
    await ended;
    clearTimeout(force);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #call(method: RemoteCall['method'], argument: unknown): Promise<unknown> {
    this.#calls += 1;
    const id = this.#calls;
    const answer = await new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.send({ id, method, argument });
    });
    this.#waiting.delete(id);
    if (answer.failure !== undefined)
      throw Object.assign(new Error(answer.failure.message), { code: answer.failure.code });
    return answer.result;
  }
}

/** What a plan says of a device, as a configuration. */
export function configOf(plan: EndPlan): RemoteOpen {
  const { peer } = plan;
  const [address = '', port] = peer.endpoint.split(':');
  const allowedIps = [{ address: Uint8Array.from(peer.inner4.split('.'), Number), length: 32 }];
  return {
    name: plan.device,
    mtu: plan.mtu,
    config: {
      privateKey: keyOf(plan.privateKey),
      listenPort: plan.listenPort,
      fwmark: 0,
      peers: [
        {
          ...{
            publicKey: keyOf(peer.publicKey),
            presharedKey: plan.presharedKey === null ? null : keyOf(plan.presharedKey),
          },
          ...{ endpoint: { address, port: Number(port) }, allowedIps },
          persistentKeepaliveSeconds: peer.persistentKeepaliveSeconds,
        },
      ],
    },
  };
}

export function keyOf(text: string): Uint8Array {
  const key = parseKey(text);
  if (key === null) throw new Error('expected a key');
  return key;
}

/** Looks again until something is so. */
export async function until(what: string, isSo: () => boolean | Promise<boolean>, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await isSo())) {
    if (performance.now() > deadline) throw new Error(`expected within ${timeoutMs} ms: ${what}`);
    await delay(20);
  }
}

/** What a tunnel sends and gets outside, with the kernel's time of each datagram: a capture on the link. Needs tcpdump. */
import { setTimeout as delay } from 'node:timers/promises';
import type { LinkEnd } from '../../src/lab/namespaces.ts';
import type { Running } from '../../src/lab/process.ts';

export type MessageKind = 'initiation' | 'response' | 'cookie reply' | 'keepalive' | 'data';

export interface CapturedMessage {
  /** Epoch milliseconds, with fractions. */
  readonly atMs: number;
  readonly kind: MessageKind;
  /** `ADDRESS.PORT`, as tcpdump writes it. */
  readonly from: string;
}

const KINDS: ReadonlyMap<number, MessageKind> = new Map([
  [148, 'initiation'],
  [92, 'response'],
  [64, 'cookie reply'],
  [32, 'keepalive'],
]);
const LINE = /^(\d+\.\d+) IP6? (\S+) > \S+ UDP, length (\d+)$/gm;
const READY_MS = 5_000;
const LIFE_MS = 120_000;

export class OuterCapture implements AsyncDisposable {
  readonly #program: Running;

  private constructor(program: Running) {
    this.#program = program;
  }

  /** Captures all of WireGuard's port at one end of a link, both ways. */
  static async start({ namespace, device }: LinkEnd): Promise<OuterCapture> {
    const options = ['-i', device, '-n', '-tt', '-l', '--immediate-mode', '-Z', 'root'];
    const program = namespace.start(['tcpdump', ...options, 'udp port 51820'], { timeoutMs: LIFE_MS });
    await program.waitForOutput(/listening on/, READY_MS);
    return new OuterCapture(program);
  }

  /** All so far, in order. */
  messages(): CapturedMessage[] {
    return [...this.#program.output.matchAll(LINE)].map(([, seconds, from, length]) => ({
      atMs: Number(seconds) * 1_000,
      kind: KINDS.get(Number(length)) ?? 'data',
      from: from ?? '',
    }));
  }

  /** Those of a kind from an address, in order. */
  sent(kind: MessageKind, address: string): CapturedMessage[] {
    return this.messages().filter((message) => message.kind === kind && message.from.startsWith(`${address}.`));
  }

  /** Waits until there are that many of a kind from an address. Throws with all that was seen when they do not come in time. */
  async waitFor(kind: MessageKind, address: string, count: number, timeoutMs: number): Promise<CapturedMessage[]> {
    const deadline = performance.now() + timeoutMs;
    while (performance.now() < deadline) {
      const found = this.sent(kind, address);
      if (found.length >= count) return found;
      await delay(50);
    }
    throw new Error(`expected ${count} × ${kind} from ${address}, saw ${JSON.stringify(this.messages())}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.stop();
  }
}

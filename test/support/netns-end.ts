/**
 * One end of a tunnel as its admin has it: a program under an interface's name, configured by `wg` and `ip` alone. So the
 * same test drives gigatun and wireguard-go. The sockets stay in the namespace where the program started; the interface
 * may move to another.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isAlive } from '../../src/control/control-server.ts';
import { formatKey, generatePrivateKey, publicKeyOf } from '../../src/control/key-text.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import type { Lab, Namespace } from '../../src/lab/namespaces.ts';
import { type Finished, type Running, run } from '../../src/lab/process.ts';

export type Implementation = 'gigatun' | 'wireguard-go';

/** The foreground forms, so that each program is known by its process id and ends with the test. */
const COMMANDS: Readonly<Record<Implementation, readonly string[]>> = {
  gigatun: [process.execPath, CLI, '-f'],
  'wireguard-go': ['wireguard-go', '-f'],
};
/** The command that runs an implementation in the foreground; without its `-f` it goes to the background. */
export function startCommand(implementation: Implementation, name: string): string[] {
  return [...COMMANDS[implementation], name];
}

const READY_MS = 20_000;
const WG_MS = 60_000;

let endsOpened = 0;

export interface NetnsEndOptions {
  /** Name of the interface, unique on the machine: its UAPI socket has the same. Default: a fresh one. */
  readonly name?: string;
  /** Default 51820. */
  readonly listenPort?: number;
}

export class NetnsEnd {
  readonly implementation: Implementation;
  readonly name: string;
  /** Where the program runs and its sockets are. */
  readonly birth: Namespace;
  readonly program: Running;
  readonly listenPort: number;
  readonly #lab: Lab;
  #namespace: Namespace;
  #publicKey = '';

  /** Starts the program; resolves when it serves `wg` and has a private key and a port. Throws with its words if it fails. */
  static async open(
    lab: Lab,
    implementation: Implementation,
    birth: Namespace,
    options: NetnsEndOptions = {},
  ): Promise<NetnsEnd> {
    const end = new NetnsEnd(lab, implementation, birth, options);
    try {
      await end.#serving();
      await end.set('listen-port', String(end.listenPort), 'private-key', end.newKey());
      return end;
    } catch (error) {
      await end.close();
      throw new Error(`${implementation}: ${end.program.output}`, { cause: error });
    }
  }

  private constructor(lab: Lab, implementation: Implementation, birth: Namespace, options: NetnsEndOptions) {
    endsOpened += 1;
    this.#lab = lab;
    this.implementation = implementation;
    this.birth = birth;
    this.#namespace = birth;
    this.name = options.name ?? `gn${process.pid.toString(36)}-${endsOpened}`;
    this.listenPort = options.listenPort ?? 51_820;
    this.program = birth.start(startCommand(implementation, this.name), {
      env: { LOG_LEVEL: 'error' },
      timeoutMs: Number.POSITIVE_INFINITY,
    });
  }

  /** Where the interface is now. */
  get namespace(): Namespace {
    return this.#namespace;
  }

  get publicKey(): string {
    return this.#publicKey;
  }

  /** Makes a private key, whose public key is this end's from now on; the path of the file that `wg set private-key` takes. */
  newKey(): string {
    const key = generatePrivateKey();
    this.#publicKey = formatKey(publicKeyOf(key));
    return this.write('key', `${formatKey(key)}\n`);
  }

  /** Writes a file that only we may read, in the lab's directory; returns its path. */
  write(kind: string, text: string): string {
    const path = join(this.#lab.directory, `${this.name}.${kind}`);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  /** `wg set NAME …`. Throws with what `wg` says. */
  async set(...words: readonly string[]): Promise<void> {
    await run(['wg', 'set', this.name, ...words], { timeoutMs: WG_MS });
  }

  /** `wg set NAME peer KEY …` */
  async setPeer(peer: NetnsEnd, ...words: readonly string[]): Promise<void> {
    await this.set('peer', peer.publicKey, ...words);
  }

  /** `wg show NAME WHAT`: lines of tab-separated fields. */
  async show(what: string): Promise<string[][]> {
    const { stdout } = await run(['wg', 'show', this.name, what], { timeoutMs: WG_MS });
    return stdout.split('\n').flatMap((line) => (line === '' ? [] : [line.split('\t')]));
  }

  /** What `wg show NAME WHAT` says of a peer, behind its key. Throws when it has no such peer. */
  async showPeer(peer: NetnsEnd, what: string): Promise<string[]> {
    const line = (await this.show(what)).find(([key]) => key === peer.publicKey);
    if (line === undefined) throw new Error(`${this.name} has no peer ${peer.publicKey}`);
    return line.slice(1);
  }

  /** `ADDRESS:PORT` where it takes its peer to be, or '(none)'. */
  async endpointOf(peer: NetnsEnd): Promise<string> {
    return (await this.showPeer(peer, 'endpoints'))[0] ?? '(none)';
  }

  /** Bytes received from and sent to a peer. */
  async transferOf(peer: NetnsEnd): Promise<{ readonly received: number; readonly sent: number }> {
    const [received, sent] = await this.showPeer(peer, 'transfer');
    return { received: Number(received), sent: Number(sent) };
  }

  /** Resident memory of the program now, bytes. */
  residentBytes(): number {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${this.program.pid}/status`, 'utf8'))?.[1]) * 1_024;
  }

  /** Moves the interface, and only that, to another namespace. It is down there, and without addresses. */
  moveTo(namespace: Namespace): void {
    this.#namespace.ip(`link set dev ${this.name} netns ${namespace.name}`);
    this.#namespace = namespace;
  }

  /** Gives the interface addresses (with prefix lengths) and an MTU, and brings it up. */
  up(mtu: number, ...addresses: readonly string[]): void {
    this.#namespace.ip(
      ...addresses.map((address) => `addr add ${address} dev ${this.name}${address.includes(':') ? ' nodad' : ''}`),
      `link set dev ${this.name} mtu ${mtu} up`,
    );
  }

  /** Ends the program (SIGTERM) and waits until it has ended. */
  async close(): Promise<Finished> {
    const finished = await this.program.stop();
    rmSync(this.socket, { force: true });
    return finished;
  }

  get socket(): string {
    return `/var/run/wireguard/${this.name}.sock`;
  }

  /** Not asked by `wg`, which removes a socket that does not answer yet. */
  async #serving(): Promise<void> {
    let serves = false;
    const probe = setInterval(async () => {
      serves ||= await isAlive(this.socket);
    }, 25);
    await this.program.waitUntil(() => serves, READY_MS, 'serve its UAPI socket').finally(() => clearInterval(probe));
  }
}

/**
 * Two userspace WireGuards side by side, each in a namespace of its own that has nothing but loopback, driven by `wg` with
 * the same commands: gigatun and wireguard-go. What they make `wg` say is brought to one form, and should be equal.
 *
 *     gigatun: lo, TUN          wireguard-go: lo, TUN
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { isAlive } from '../../src/control/control-server.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import type { Lab, Namespace } from '../../src/lab/namespaces.ts';
import type { Running } from '../../src/lab/process.ts';

const READY_MS = 15_000;
const PROBE_MS = 20;

export type Kind = 'gigatun' | 'wireguard-go';

/** What a command ended with. */
export interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let subjectsOpened = 0;

/** One program with one interface. */
export class Subject {
  readonly kind: Kind;
  readonly device: string;
  readonly namespace: Namespace;
  readonly program: Running;
  readonly #lab: Lab;

  private constructor(lab: Lab, kind: Kind, device: string, namespace: Namespace, program: Running) {
    this.#lab = lab;
    this.kind = kind;
    this.device = device;
    this.namespace = namespace;
    this.program = program;
  }

  /** Starts it in a new namespace; its interface is down and has no configuration. */
  static async open(lab: Lab, kind: Kind): Promise<Subject> {
    subjectsOpened += 1;
    const device = `gw${process.pid.toString(36)}-${subjectsOpened}`;
    const namespace = lab.addNamespace(`wg${subjectsOpened}`);
    const run = join(lab.directory, `run-${device}`);
    mkdirSync(run, { mode: 0o700 });
    const command = kind === 'gigatun' ? [process.execPath, CLI] : ['wireguard-go'];
    const env = { GIGATUN_RUN_DIR: run, LOG_LEVEL: 'error', WG_PROCESS_FOREGROUND: '1' };
    const program = namespace.start([...command, '-f', device], { env, timeoutMs: Number.POSITIVE_INFINITY });
    const subject = new Subject(lab, kind, device, namespace, program);
    await subject.#serving();
    return subject;
  }

  get socket(): string {
    return `/var/run/wireguard/${this.device}.sock`;
  }

  up(): void {
    this.namespace.ip(`link set ${this.device} up`);
  }

  /** Runs `wg`; `DEV` in a word stands for the interface, and `@TEXT` for a file of mode 0600 that holds TEXT. */
  async wg(words: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Said> {
    const args = words.map((word) =>
      word.startsWith('@') ? this.#file(word.slice(1)) : word.replace('DEV', this.device),
    );
    const { code, stdout, stderr } = await this.namespace.run(['wg', ...args], { mayFail: true, env });
    return { code, stdout: this.#plain(stdout), stderr: this.#plain(stderr) };
  }

  /** Sends texts on one connection, each when the one before is answered, then ends its side; gives all that comes back. */
  async exchange(...texts: string[]): Promise<string> {
    const socket = connect(this.socket);
    const waiting = [...texts];
    let answer = '';
    const sendNext = (): void => {
      const text = waiting.shift() ?? '';
      if (waiting.length === 0) socket.end(text);
      else socket.write(text);
    };
    socket.on('data', (chunk) => {
      answer += chunk;
      if (answer.endsWith('\n\n') && waiting.length > 0) sendNext();
    });
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => {});
    sendNext();
    await closed;
    return answer;
  }

  async close(): Promise<void> {
    await this.program.stop();
    rmSync(this.socket, { force: true });
  }

  #file(text: string): string {
    const path = join(this.#lab.directory, `file-${this.device}`);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  }

  /** What differs between any two programs: their names, and the files' that they read. */
  #plain(text: string): string {
    return text.replaceAll(join(this.#lab.directory, `file-${this.device}`), 'FILE').replaceAll(this.device, 'DEV');
  }

  /** Not asked by `wg`, which removes a socket that does not answer yet. */
  async #serving(): Promise<void> {
    let serves = false;
    const probe = setInterval(async () => {
      serves ||= existsSync(this.socket) && (await isAlive(this.socket));
    }, PROBE_MS);
    await this.program.waitUntil(() => serves, READY_MS, 'serve').finally(() => clearInterval(probe));
  }
}

/** Peers and prefixes have no order of their own: lines by lines, blocks by blocks and lists within lines are sorted. */
export function unordered(text: string): string {
  const blocks = text
    .trimEnd()
    .split('\n\n')
    .map((block) => block.split('\n').map(sortedList));
  const [head, ...peers] = blocks;
  if (peers.length === 0) return ended(head.toSorted().join('\n'));
  return ended([head.join('\n'), ...peers.map((lines) => lines.join('\n')).toSorted()].join('\n\n'));
}

function ended(text: string): string {
  return text === '' ? '' : `${text}\n`;
}

function sortedList(line: string): string {
  return line
    .split('\t')
    .map((field) => field.replace(/(?<=^|: |= )\S+\/\d+(?:,? \S+\/\d+|,\S+\/\d+)+$/, sortedPrefixes))
    .join('\t');
}

function sortedPrefixes(list: string): string {
  const separator = /,? |,/.exec(list)?.[0] ?? ', ';
  return list.split(separator).toSorted().join(separator);
}

/**
 * Programs that the lab runs. Each has a bounded lifetime and bounded captured output; each is ended by its own process id.
 * `run` waits for the end, `start` returns a Running that is waited for or stopped. Whatever still runs when this process
 * exits is terminated.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import { onExit } from './cleanup.ts';

const DEFAULT_TIMEOUT_MS = 30_000;
/** Between SIGTERM and SIGKILL. */
const GRACE_MS = 3_000;
const OUTPUT_LENGTH_MAX = 16 * 1024 * 1024;

export interface RunOptions {
  /** The program is terminated after this long; Infinity lets it run until it is stopped. Default 30 s. */
  readonly timeoutMs?: number;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string>>;
  /** Written to its standard input, which is then closed; without it standard input is empty. */
  readonly input?: string;
  /** run(): a failure is a result, not an exception. */
  readonly mayFail?: boolean;
}

export interface Finished {
  readonly command: string;
  /** Exit status, or null when a signal ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly timedOut: boolean;
}

const running = new Set<Running>();
let takeBackExit: (() => void) | null = null;

/** Runs a program to its end. Throws GigatunError SYSTEM with what it said when it fails, unless `mayFail`. */
export async function run(command: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const finished = await start(command, options).finished;
  if (finished.code !== 0 && options.mayFail !== true) throw failure(finished);
  return finished;
}

/** Runs a short program to its end without giving way to anything else; returns its standard output. Throws as `run` does. */
export function runSync(command: readonly string[], input = ''): string {
  const [program = '', ...args] = command;
  const result = spawnSync(program, args, {
    input,
    encoding: 'utf8',
    timeout: DEFAULT_TIMEOUT_MS,
    maxBuffer: OUTPUT_LENGTH_MAX,
  });
  const { status: code, signal, stdout, stderr, error } = result;
  if (error !== undefined && code === null && signal === null) throw notStarted(program, error);
  if (code !== 0) {
    throw failure({ command: command.join(' '), code, signal, stdout, stderr, timedOut: error !== undefined });
  }
  return stdout;
}

/** Starts a program. It is terminated when its time is over, on stop(), or when this process exits. */
export function start(command: readonly string[], options: RunOptions = {}): Running {
  return new Running(command, options);
}

/** The error for a program that ended badly: its command, how it ended, and the end of what it said. */
export function failure(finished: Finished): GigatunError {
  const how = finished.timedOut
    ? 'did not end in time'
    : finished.signal === null
      ? `ended with status ${finished.code}`
      : `was ended by ${finished.signal}`;
  const said = (finished.stderr.trim() || finished.stdout.trim()).split('\n').slice(-20).join('\n');
  return new GigatunError('SYSTEM', `${finished.command} ${how}${said === '' ? '' : `: ${said}`}`);
}

function notStarted(program: string, cause: Error): GigatunError {
  return new GigatunError('SYSTEM', `${program} could not be started: ${cause.message}`, { cause });
}

export class Running {
  readonly command: string;
  /** 0 when the program could not be started; then `finished` rejects. */
  readonly pid: number;
  /** Resolves when the program ended and its output was read to the end. */
  readonly finished: Promise<Finished>;
  #child: ChildProcess;
  #stdout = '';
  #stderr = '';
  #timedOut = false;
  #watchers = new Set<() => void>();

  constructor(command: readonly string[], options: RunOptions) {
    const [program = '', ...args] = command;
    this.command = command.join(' ');
    const env = { ...process.env, ...options.env };
    this.#child = spawn(program, args, {
      env,
      stdio: [options.input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
    });
    this.pid = this.#child.pid ?? 0;
    this.#capture();
    this.finished = this.#end(program, options.timeoutMs ?? DEFAULT_TIMEOUT_MS);
    this.finished.catch(() => {});
    this.#child.stdin?.on('error', () => {}); // a program may end without reading its input
    this.#child.stdin?.end(options.input);
  }

  get ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null || this.pid === 0;
  }

  /** What it has said so far, standard output before standard error. */
  get output(): string {
    return this.#stdout + this.#stderr;
  }

  /** Resolves once the output matches. Throws what `run` throws if the program ends first, GigatunError SYSTEM when it is late. */
  waitForOutput(pattern: RegExp, timeoutMs: number): Promise<void> {
    return this.waitUntil(() => pattern.test(this.output), timeoutMs, `say ${pattern.source}`);
  }

  /** Resolves once `test` holds; it is asked whenever output arrives and every 10 ms. Errors as `waitForOutput`. */
  async waitUntil(test: () => boolean, timeoutMs: number, what: string): Promise<void> {
    const deadline = performance.now() + timeoutMs;
    while (!test()) {
      if (this.ended) throw failure(await this.finished);
      if (performance.now() > deadline) {
        throw new GigatunError(
          'SYSTEM',
          `${this.command} did not ${what} within ${timeoutMs} ms: ${this.output.trim()}`,
        );
      }
      await this.#outputOrDelay(10);
    }
  }

  /** Terminates it (SIGTERM, SIGKILL after 3 s) and waits for its end. Fine when it has ended already. */
  async stop(): Promise<Finished> {
    this.signal('SIGTERM');
    const force = setTimeout(() => this.signal('SIGKILL'), GRACE_MS);
    try {
      return await this.finished;
    } finally {
      clearTimeout(force);
    }
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.ended) this.#child.kill(signal);
  }

  #capture(): void {
    this.#child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout = (this.#stdout + text).slice(-OUTPUT_LENGTH_MAX);
      this.#notify();
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-OUTPUT_LENGTH_MAX);
      this.#notify();
    });
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #outputOrDelay(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#watchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, delayMs);
      this.#watchers.add(done);
    });
  }

  #end(program: string, timeoutMs: number): Promise<Finished> {
    remember(this);
    const timer = Number.isFinite(timeoutMs) ? setTimeout(() => this.#expire(), timeoutMs) : undefined;
    return new Promise<Finished>((resolve, reject) => {
      this.#child.once('error', (error) => {
        if (this.pid === 0) reject(notStarted(program, error));
      });
      this.#child.once('close', (code, signal) => {
        const { command } = this;
        resolve({ command, code, signal, stdout: this.#stdout, stderr: this.#stderr, timedOut: this.#timedOut });
      });
    }).finally(() => {
      clearTimeout(timer);
      forget(this);
    });
  }

  #expire(): void {
    this.#timedOut = true;
    void this.stop();
  }
}

function remember(program: Running): void {
  running.add(program);
  takeBackExit ??= onExit(endAllNow);
}

function forget(program: Running): void {
  running.delete(program);
  if (running.size > 0) return;
  takeBackExit?.();
  takeBackExit = null;
}

/** Ends all programs that this process started: SIGTERM, a second to obey, then SIGKILL. Blocks. */
export function endAllNow(): void {
  const pids = [...running].filter((program) => !program.ended).map((program) => program.pid);
  for (const program of running) program.signal('SIGTERM');
  const pause = new Int32Array(new SharedArrayBuffer(4));
  for (let waitedMs = 0; waitedMs < 1_000 && pids.some(isAlive); waitedMs += 10) Atomics.wait(pause, 0, 0, 10);
  for (const program of running) if (isAlive(program.pid)) program.signal('SIGKILL');
}

/** A zombie is not alive: it only waits for its parent, which is us. */
export function isAlive(pid: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return text.charAt(text.lastIndexOf(')') + 2) !== 'Z';
  } catch {
    return false;
  }
}

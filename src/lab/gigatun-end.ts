/** One end of a tunnel run by gigatun itself: its own command line, started in the namespace, in the foreground. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ControlClient } from '../control/control-client.ts';
import { readSnapshot } from '../control/status-reader.ts';
import { GigatunError } from '../errors.ts';
import { statsJson } from '../ledger/report.ts';
import { type EndStats, readStats } from './gigatun-stats.ts';
import type { Lab } from './namespaces.ts';
import { type EndPlan, quickConfig, type TunnelEnd } from './pair.ts';
import { type Running, run } from './process.ts';

/** The built command line, whether this file runs from src/ or from dist/. */
export const CLI: string = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const READY_MS = 10_000;

export interface GigatunOptions {
  /** Default 1. */
  readonly lanes?: number;
  /** `#gigatun:` settings of [Peer]: 'Copies = 2'. */
  readonly peerSettings?: readonly string[];
  /** More arguments of `gigatun up`. */
  readonly arguments?: readonly string[];
  /** `#gigatun:` settings of [Interface]: 'Offloads = none'. */
  readonly settings?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Writes the configuration (mode 0600), starts `gigatun up --foreground`, waits until it serves. Throws with its log when it fails. */
export async function openGigatun(lab: Lab, plan: EndPlan, options: GigatunOptions = {}): Promise<GigatunEnd> {
  const runDirectory = join(lab.directory, `run-${plan.device}`);
  const file = join(lab.directory, `${plan.device}.conf`);
  mkdirSync(runDirectory, { mode: 0o700 });
  writeFileSync(file, withSettings(quickConfig(plan), options), { mode: 0o600 });
  const { lanes = 1 } = options;
  const command = [
    process.execPath,
    CLI,
    'up',
    file,
    '--foreground',
    '--lanes',
    String(lanes),
    ...(options.arguments ?? []),
  ];
  const env = { ...options.env, GIGATUN_RUN_DIR: runDirectory };
  const program = plan.namespace.start(command, { env, timeoutMs: Number.POSITIVE_INFINITY });
  const end = new GigatunEnd(plan, program, runDirectory);
  await program.waitUntil(
    () => existsSync(join(runDirectory, `${plan.device}.sock`)),
    READY_MS,
    'open its control socket',
  );
  return end;
}

function withSettings(config: string, { settings = [], peerSettings = [] }: GigatunOptions): string {
  const lines = (all: readonly string[]): string => all.map((setting) => `\n#gigatun: ${setting}`).join('');
  return config
    .replace('[Interface]', () => `[Interface]${lines(settings)}`)
    .replace('[Peer]', () => `[Peer]${lines(peerSettings)}`);
}

export class GigatunEnd implements TunnelEnd {
  readonly plan: EndPlan;
  readonly pid: number;
  readonly #program: Running;
  readonly #runDirectory: string;

  constructor(plan: EndPlan, program: Running, runDirectory: string) {
    this.plan = plan;
    this.pid = program.pid;
    this.#program = program;
    this.#runDirectory = runDirectory;
  }

  log(): string {
    return this.#program.output;
  }

  /** What `gigatun stats` prints for this end. */
  async statsText(): Promise<string> {
    return await this.#cli('stats', this.plan.device);
  }

  /** What `gigatun stats --json` prints for this end. */
  async statsJson(): Promise<unknown> {
    return this.#parsed('stats', await this.#cli('stats', this.plan.device, '--json'));
  }

  /** What `gigatun show --json` prints for this end. */
  async showJson(): Promise<unknown> {
    return this.#parsed('show', await this.#cli('show', this.plan.device, '--json'));
  }

  /** The books by the control socket, without a process of their own: cheap enough between two loads. */
  async stats(): Promise<EndStats> {
    const client = await ControlClient.connect(this.#runDirectory, this.plan.device);
    try {
      return readStats(statsJson(readSnapshot(await client.call('stats'))));
    } finally {
      client.close();
    }
  }

  async close(): Promise<void> {
    await this.#program.stop();
  }

  /** Ends it as a power cut would. */
  async kill(): Promise<void> {
    this.#program.signal('SIGKILL');
    await this.#program.finished;
  }

  #parsed(command: string, text: string): unknown {
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new GigatunError('PROTOCOL', `gigatun ${command} --json printed no JSON: ${text.slice(0, 200)}`, { cause });
    }
  }

  async #cli(...args: string[]): Promise<string> {
    const env = { GIGATUN_RUN_DIR: this.#runDirectory };
    const { stdout } = await run([process.execPath, CLI, ...args], { env });
    return stdout;
  }
}

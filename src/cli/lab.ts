/** `gigatun lab`: the link emulator, until its time is over or somebody ends it. */
import { lookup } from 'node:dns/promises';
import { readFileSync } from 'node:fs';
import { quoteValue } from '../control/config-problems.ts';
import type { NamedEndpoint } from '../control/config-types.ts';
import { messageOf } from '../control/system-error.ts';
import { endpointOf } from '../endpoint-text.ts';
import { GigatunError } from '../errors.ts';
import { Emulator } from '../lab/emulator/emulator.ts';
import { type Blackout, type BurstLoss, type Impairments, NO_IMPAIRMENTS } from '../lab/emulator/impairments.ts';
import { formatEmulatorFigures } from '../lab/emulator/report.ts';
import type { Endpoint } from '../packet/endpoint.ts';

/** What the command line says; a time is ms, a share 0 to 1. */
export interface LabOptions {
  readonly listen: number;
  readonly to: NamedEndpoint;
  readonly from?: NamedEndpoint;
  readonly delay?: number;
  readonly jitter?: number;
  readonly loss?: number;
  readonly burst?: BurstLoss;
  readonly reorder?: number;
  readonly reorderBy?: number;
  readonly duplicate?: number;
  readonly rate?: number;
  readonly overhead?: number;
  readonly queue?: number;
  readonly blackout?: readonly Blackout[];
  readonly plan?: string;
  readonly seed: number;
  /** Null: until it is ended. */
  readonly seconds: number | null;
  readonly json: boolean;
}

/** Relays until it is ended; prints what it did. Returns the exit code. */
export async function lab(options: LabOptions): Promise<number> {
  const both = impairmentsOf(options);
  const { toTarget, toClient } =
    options.plan === undefined ? { toTarget: both, toClient: both } : readPlan(options.plan, both);
  const target = await resolve(options.to);
  const client = options.from === undefined ? null : await resolve(options.from);
  const emulator = new Emulator({ port: options.listen, target, client, toTarget, toClient, seed: options.seed });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => emulator.end());
  process.on('SIGUSR1', () => emulator.cut(true));
  process.on('SIGUSR2', () => emulator.cut(false));
  process.stderr.write(`ready: UDP port ${options.listen} leads to ${options.to.host} port ${options.to.port}\n`);
  const figures = await emulator.run(options.seconds ?? Number.POSITIVE_INFINITY);
  process.stdout.write(options.json ? `${JSON.stringify(figures)}\n` : formatEmulatorFigures(figures));
  return 0;
}

function impairmentsOf(options: LabOptions): Impairments {
  return {
    delayMs: options.delay ?? NO_IMPAIRMENTS.delayMs,
    jitterMs: options.jitter ?? NO_IMPAIRMENTS.jitterMs,
    loss: options.loss ?? NO_IMPAIRMENTS.loss,
    burst: options.burst ?? NO_IMPAIRMENTS.burst,
    reorder: options.reorder ?? NO_IMPAIRMENTS.reorder,
    reorderMs: options.reorderBy ?? NO_IMPAIRMENTS.reorderMs,
    duplicate: options.duplicate ?? NO_IMPAIRMENTS.duplicate,
    rateBitsPerSecond: options.rate ?? NO_IMPAIRMENTS.rateBitsPerSecond,
    overheadBytes: options.overhead ?? NO_IMPAIRMENTS.overheadBytes,
    queueMs: options.queue ?? NO_IMPAIRMENTS.queueMs,
    blackouts: options.blackout ?? NO_IMPAIRMENTS.blackouts,
  };
}

/** A file that says how the two directions differ from what the options say: `{"toTarget": {"loss": 0.01}, "toClient": {}}`. */
function readPlan(file: string, both: Impairments): { toTarget: Impairments; toClient: Impairments } {
  const plan = parseJson(file);
  const toTarget = directionOf(plan, 'toTarget', file);
  const toClient = directionOf(plan, 'toClient', file);
  const unknown = Object.keys(plan).find((key) => key !== 'toTarget' && key !== 'toClient');
  if (unknown !== undefined)
    throw new GigatunError('CONFIG', `${file}: expected toTarget and toClient, got ${quoteValue(unknown)}`);
  return { toTarget: { ...both, ...toTarget }, toClient: { ...both, ...toClient } };
}

function parseJson(file: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (isRecord(value)) return value;
  } catch (cause) {
    throw new GigatunError('CONFIG', `${file}: expected a JSON object: ${messageOf(cause)}`, { cause });
  }
  throw new GigatunError('CONFIG', `${file}: expected a JSON object`);
}

/** Values are checked when the emulator is made; here only that each is known and of the right kind. */
function directionOf(plan: Record<string, unknown>, direction: string, file: string): Partial<Impairments> {
  const said = plan[direction] ?? {};
  if (!isRecord(said)) throw new GigatunError('CONFIG', `${file}: expected an object as ${direction}`);
  for (const [key, value] of Object.entries(said)) {
    const isKnown = Object.hasOwn(NO_IMPAIRMENTS, key);
    if (!isKnown)
      throw new GigatunError(
        'CONFIG',
        `${file}: ${direction}: expected some of ${Object.keys(NO_IMPAIRMENTS).join(', ')}, got ${quoteValue(key)}`,
      );
    if (!isKindOf(key, value))
      throw new GigatunError('CONFIG', `${file}: ${direction}: ${key} is not what it should be`);
  }
  return said;
}

function isKindOf(key: string, value: unknown): boolean {
  if (key === 'blackouts')
    return (
      Array.isArray(value) && value.every((entry) => hasNumbers(entry, ['startMs', 'lengthMs']) && 'everyMs' in entry)
    );
  if (key === 'burst') return value === null || hasNumbers(value, ['share', 'length']);
  return typeof value === 'number' || (key === 'rateBitsPerSecond' && value === null);
}

function hasNumbers(value: unknown, keys: readonly string[]): value is Record<string, unknown> {
  return isRecord(value) && keys.every((key) => typeof value[key] === 'number');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

async function resolve({ host, port }: NamedEndpoint): Promise<Endpoint> {
  try {
    const { address } = await lookup(host);
    return endpointOf({ address, port });
  } catch (cause) {
    throw new GigatunError('NOT_FOUND', `expected a host that can be looked up, got ${quoteValue(host)}`, { cause });
  }
}

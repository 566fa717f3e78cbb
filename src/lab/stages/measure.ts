/**
 * The stage bench: every workload through every AEAD back end that this machine has, in both ciphers, many rounds each, after a
 * warm-up.
 */
import { setImmediate as turnOfTheLoop } from 'node:timers/promises';
import { GigatunError } from '../../errors.ts';
import { CIPHERS, type Cipher } from '../../protocol/cipher.ts';
import { examineMachine, type Machine } from '../machine.ts';
import { type Screen, showPhase } from '../progress.ts';
import { InboundRounds } from './inbound.ts';
import { OutboundRounds } from './outbound.ts';
import { type AeadName, Rig } from './rig.ts';
import { STAGES, type StageId } from './stages.ts';
import { type Spread, Stopwatch } from './stopwatch.ts';
import { makeWorkload, WORKLOAD_IDS, type Workload, type WorkloadId } from './workload.ts';

const BACK_ENDS: readonly AeadName[] = ['ipsec-mb', 'openssl'];
const WARM_UP_SHARE = 0.3;
/** A slice of rounds after which the event loop gets a turn, for progress and signals. */
const SLICE_MS = 100;

export type MeasuredStage = (typeof STAGES)[number]['id'];

export interface WorkloadFigures {
  readonly workload: WorkloadId;
  readonly title: string;
  /** Length of an inner packet, bytes; packets in a batch. */
  readonly packetLength: number;
  readonly packetsPerBatch: number;
  /** Nanoseconds per packet of every stage, native ones with the fastest back end and WireGuard's cipher. */
  readonly stages: Readonly<Record<MeasuredStage, Spread>>;
  /** Native stages by back end and cipher; WireGuard's cipher comes first. */
  readonly aead: readonly AeadFigures[];
}

export interface AeadFigures {
  /** Of the back end. */
  readonly name: string;
  readonly cipher: Cipher;
  readonly encrypt: Spread;
  readonly decrypt: Spread;
}

export interface StageResult {
  readonly report: 'gigatun bench, stages';
  readonly takenAt: string;
  readonly machine: Machine;
  readonly secondsPerWorkload: number;
  readonly workloads: readonly WorkloadFigures[];
}

/** Measures all stages; `seconds` for each workload, back end and cipher. Needs neither privilege nor network. */
export async function measureStages(seconds: number, screen: Screen): Promise<StageResult> {
  const machine = await examineMachine();
  const suites = BACK_ENDS.filter(isHere).flatMap((name) => CIPHERS.map((cipher) => ({ name, cipher })));
  const workloads: WorkloadFigures[] = [];
  await warmUp(suites, seconds);
  for (const id of WORKLOAD_IDS) {
    const workload = makeWorkload(id);
    const phase = showPhase(screen, `stages: ${workload.title}`, seconds * suites.length);
    workloads.push(await measureWorkload(workload, suites, seconds));
    phase.done(summaryOf(workloads.at(-1)));
  }
  const takenAt = new Date().toISOString();
  return { report: 'gigatun bench, stages', takenAt, machine, secondsPerWorkload: seconds, workloads };
}

/** An AEAD: a cipher by a back end. */
interface Suite {
  readonly name: AeadName;
  readonly cipher: Cipher;
}

/** Nanoseconds of a packet from TUN to socket and from socket to TUN. */
export function totalOf(figures: WorkloadFigures, direction: 'outbound' | 'inbound'): number {
  const stages = STAGES.filter((stage) => stage.direction === direction);
  return stages.reduce((sum, { id }) => sum + figures.stages[id].median, 0);
}

function summaryOf(figures: WorkloadFigures | undefined): string {
  if (figures === undefined) return '';
  const [out, into] = [totalOf(figures, 'outbound'), totalOf(figures, 'inbound')];
  return `${Math.round(out)} ns out, ${Math.round(into)} ns in, per packet`;
}

/** All workloads once before the first is measured: what is compiled then has seen all of them, as in a lane. */
async function warmUp(suites: readonly Suite[], seconds: number): Promise<void> {
  for (const id of WORKLOAD_IDS) await measureWorkload(makeWorkload(id), suites.slice(0, 1), seconds * WARM_UP_SHARE);
}

function isHere(aead: AeadName): boolean {
  try {
    new Rig(aead, 'chacha20-poly1305').close();
    return true;
  } catch (error) {
    if (error instanceof GigatunError && error.code === 'UNSUPPORTED') return false;
    throw error;
  }
}

async function measureWorkload(
  workload: Workload,
  suites: readonly Suite[],
  seconds: number,
): Promise<WorkloadFigures> {
  const measured: (Suite & { packets: number; watch: Stopwatch<StageId> })[] = [];
  for (const suite of suites) measured.push({ ...suite, ...(await measureWith(suite, workload, seconds)) });
  const [first] = measured;
  if (first === undefined) throw new GigatunError('INTERNAL', 'no AEAD back end could be opened');
  const stages = Object.fromEntries(STAGES.map(({ id }) => [id, spreadOf(first.watch, id)]));
  return {
    workload: workload.id,
    title: workload.title,
    packetLength: workload.packetLength,
    packetsPerBatch: first.packets,
    stages: stages as Record<MeasuredStage, Spread>,
    aead: measured.map(({ name, cipher, watch }) => ({
      name,
      cipher,
      encrypt: spreadOf(watch, 'encrypt'),
      decrypt: spreadOf(watch, 'decrypt'),
    })),
  };
}

async function measureWith(
  { name, cipher }: Suite,
  workload: Workload,
  seconds: number,
): Promise<{ packets: number; watch: Stopwatch<StageId> }> {
  const rig = new Rig(name, cipher);
  try {
    const watch = new Stopwatch<StageId>();
    const outbound = new OutboundRounds(rig, workload);
    outbound.round(watch);
    const inbound = new InboundRounds(rig, outbound.packets);
    await runRounds(outbound, inbound, watch, seconds * WARM_UP_SHARE);
    watch.reset();
    await runRounds(outbound, inbound, watch, seconds * (1 - WARM_UP_SHARE));
    return { packets: outbound.packets, watch };
  } finally {
    rig.close();
  }
}

async function runRounds(
  outbound: OutboundRounds,
  inbound: InboundRounds,
  watch: Stopwatch<StageId>,
  seconds: number,
): Promise<void> {
  const endMs = performance.now() + seconds * 1_000;
  do {
    const sliceEndMs = performance.now() + SLICE_MS;
    do {
      outbound.round(watch);
      inbound.round(watch);
    } while (performance.now() < Math.min(sliceEndMs, endMs));
    await turnOfTheLoop();
  } while (performance.now() < endMs);
}

function spreadOf(watch: Stopwatch<StageId>, stage: StageId): Spread {
  const spread = watch.spreadOf(stage);
  if (spread === null) throw new GigatunError('INTERNAL', `the stage ${stage} was not measured`);
  return spread;
}

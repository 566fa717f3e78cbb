/** Runs targets over a number of inputs that follow from a seed, and keeps what was found: target, input number, message. */
import { Random } from './random.ts';
import type { Target } from './target.ts';

export interface Found {
  /** Number of the input; `--replay TARGET:NUMBER` with the same seed runs it alone. */
  readonly input: number;
  readonly message: string;
}

export interface TargetReport {
  readonly target: string;
  readonly inputs: number;
  readonly seconds: number;
  /** The slowest 256 inputs, ms: a hang would show. */
  readonly slowestMs: number;
  readonly findings: readonly Found[];
}

/** Findings of one target after which it is left. */
const FINDINGS_MAX = 10;
/** Inputs between two looks at the clock. */
const STRETCH = 256;

/** Each target gets its weight's part of the inputs. Random numbers start anew with each input, so that one can be run alone. */
export function runCampaign(targets: readonly Target[], inputs: number, seed: number): TargetReport[] {
  const weights = targets.reduce((sum, { weight }) => sum + weight, 0);
  return targets.map((target) => runTarget(target, Math.ceil((inputs * target.weight) / weights), seed));
}

/** One input of a target; throws what is wrong with it. */
export function runInput(target: Target, input: number, seed: number): void {
  target.open()(randomOf(target, input, seed));
}

function runTarget(target: Target, inputs: number, seed: number): TargetReport {
  const run = target.open();
  const findings: Found[] = [];
  const startedMs = performance.now();
  let slowestMs = 0;
  let done = 0;
  for (let stretchMs = startedMs; done < inputs && findings.length < FINDINGS_MAX; done += 1) {
    try {
      run(randomOf(target, done, seed));
    } catch (error) {
      findings.push({ input: done, message: error instanceof Error ? (error.stack ?? error.message) : String(error) });
    }
    if (done % STRETCH !== STRETCH - 1) continue;
    const nowMs = performance.now();
    slowestMs = Math.max(slowestMs, nowMs - stretchMs);
    stretchMs = nowMs;
  }
  return { target: target.name, inputs: done, seconds: (performance.now() - startedMs) / 1_000, slowestMs, findings };
}

function randomOf({ name }: Target, input: number, seed: number): Random {
  let hash = seed | 0;
  for (const character of name) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  const random = new Random(Math.imul(hash, 0x9e3779b1) ^ Math.imul(input + 1, 0x85ebca6b));
  random.word();
  return random;
}

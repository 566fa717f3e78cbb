/** What a fuzz target is: a way to run one input that follows from a random source, and to say that something is wrong by throwing. */
import type { Random } from './random.ts';

export interface Target {
  readonly name: string;
  /** What is fed and what must hold, in one sentence. */
  readonly what: string;
  /** Of all inputs of a campaign, this target's part: cheap ones get more. */
  readonly weight: number;
  /** Prepares, and returns what runs one input; that throws Finding, or anything else, when something is wrong. */
  readonly open: () => (random: Random) => void;
}

/** An input for which something did not hold. */
export class Finding extends Error {}

export function expectThat(holds: boolean, what: string, input: () => unknown): void {
  if (holds) return;
  throw new Finding(`${what}: ${show(input())}`);
}

function show(input: unknown): string {
  if (input instanceof Uint8Array) return Buffer.from(input).toString('hex');
  return JSON.stringify(input);
}

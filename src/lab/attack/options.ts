/** What an attack run is asked to do, from its arguments. */
import { parseArgs } from 'node:util';
import { GigatunError } from '../../errors.ts';
import { FLOOD_KINDS, type FloodKind } from './flood-kinds.ts';

export const ATTACK_USAGE: string = `npm run attack -- [options]

Floods one end of a gigatun tunnel that carries a TCP stream, in network namespaces of this machine. Each round measures the
stream without a flood, beside its floor (the same flood to a socket that nobody reads, which costs the machine just as
much), and beside each kind; and each time how long a newcomer takes to get in, memory, and drops. Ends by itself.

  --kinds A,B         kinds of flood: ${FLOOD_KINDS.map(({ name }) => name).join(', ')} (default all)
  --rate N            datagrams a second, 0 for as many as go (default 100000)
  --seconds N         seconds of each stream, 2 to 120 (default 4)
  --rounds N          rounds, 1 to 20 (default 1)
  --alone             neither stream nor newcomer: what a datagram of a flood costs the device
  --program FILE      main.js of another build, to compare with
  --json              print the result as JSON
  --help
`;

export interface AttackOptions {
  readonly kinds: readonly FloodKind[];
  readonly rate: number;
  readonly seconds: number;
  readonly rounds: number;
  readonly alone: boolean;
  readonly program: string | null;
  readonly json: boolean;
}

const RATE = 100_000;
const SECONDS = 4;

/** Reads arguments; 'help' when help is wanted. Throws GigatunError CONFIG that says what was expected. */
export function parseAttackOptions(args: readonly string[]): AttackOptions | 'help' {
  const values = parse(args);
  if (values.help === true) return 'help';
  return {
    kinds: values.kinds === undefined ? FLOOD_KINDS : values.kinds.split(',').map(kindOf),
    rate: wholeNumber('--rate', values.rate, RATE, 0, 10_000_000),
    seconds: wholeNumber('--seconds', values.seconds, SECONDS, 2, 120),
    rounds: wholeNumber('--rounds', values.rounds, 1, 1, 20),
    alone: values.alone === true,
    program: values.program ?? null,
    json: values.json === true,
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const numbers = { rate: text, seconds: text, rounds: text };
  const options = { kinds: text, ...numbers, alone: flag, program: text, json: flag, help: flag };
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (cause) {
    throw new GigatunError('CONFIG', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function kindOf(name: string): FloodKind {
  const found = FLOOD_KINDS.find((kind) => kind.name === name);
  if (found !== undefined) return found;
  throw new GigatunError('CONFIG', `--kinds: expected some of ${FLOOD_KINDS.map((kind) => kind.name)}, got '${name}'`);
}

function wholeNumber(option: string, text: string | undefined, otherwise: number, least: number, most: number): number {
  if (text === undefined) return otherwise;
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new GigatunError('CONFIG', `${option}: expected a whole number from ${least} to ${most}, got '${text}'`);
}

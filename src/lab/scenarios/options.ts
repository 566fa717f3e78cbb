/** What a run of scenarios is asked to do, from its arguments. */
import { parseArgs } from 'node:util';
import { GigatunError } from '../../errors.ts';
import { SCENARIOS, type Scenario } from './scenarios.ts';

export const SCENARIOS_USAGE: string = `npm run scenarios -- [options]

Measures tunnels over bad links that the link emulator (gigatun lab) makes, in network namespaces of this machine: gigatun
with and without histories, and wireguard-go. Ends by itself; all of it takes about half an hour.

  --only A,B          scenarios: ${SCENARIOS.map(({ name }) => name).join(', ')} (default all)
  --subjects A,B      only subjects whose names hold one of these texts
  --rounds N          rounds, interleaved, whose medians are told (default 1; the scenario 'idle' has 9)
  --time N            percent of each load's time, 10 to 400 (default 100)
  --stats             print the ledger of gigatun's ends after each subject
  --json              print JSON instead of Markdown
  --write             write bench/results/scenarios.md and .json (only when nothing was left out)
  --help
`;

export interface ScenarioOptions {
  readonly scenarios: readonly Scenario[];
  readonly subjects: readonly string[];
  /** Null: as the scenario has it. */
  readonly rounds: number | null;
  /** Factor of all times. */
  readonly time: number;
  readonly stats: boolean;
  readonly json: boolean;
  readonly write: boolean;
}

/** Reads arguments; 'help' when help is wanted. Throws GigatunError CONFIG that says what was expected. */
export function parseScenarioOptions(args: readonly string[]): ScenarioOptions | 'help' {
  const values = parse(args);
  if (values.help === true) return 'help';
  return {
    scenarios: values.only === undefined ? SCENARIOS : values.only.split(',').map(scenarioOf),
    subjects: values.subjects?.split(',') ?? [],
    rounds: values.rounds === undefined ? null : wholeNumber('--rounds', values.rounds, 1, 50),
    time: values.time === undefined ? 1 : wholeNumber('--time', values.time, 10, 400) / 100,
    stats: values.stats === true,
    json: values.json === true,
    write: values.write === true,
  };
}

function parse(args: readonly string[]) {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  const options = {
    only: text,
    subjects: text,
    rounds: text,
    time: text,
    stats: flag,
    json: flag,
    write: flag,
    help: flag,
  };
  try {
    return parseArgs({ args: [...args], options }).values;
  } catch (cause) {
    throw new GigatunError('CONFIG', cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

function scenarioOf(wanted: string): Scenario {
  const found = SCENARIOS.find(({ name }) => name === wanted);
  if (found !== undefined) return found;
  const known = SCENARIOS.map(({ name }) => name).join(', ');
  throw new GigatunError('CONFIG', `--only: expected some of ${known}, got '${wanted}'`);
}

function wholeNumber(option: string, text: string, least: number, most: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new GigatunError('CONFIG', `${option}: expected a number from ${least} to ${most}, got '${text}'`);
}

/** A scale run: part after part, each with its progress, then the result as text, or as JSON, and as files. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { GigatunError } from '../../errors.ts';
import { busyWarning, examineMachine } from '../machine.ts';
import { examinePrivilege, judgePrivilege } from '../privilege.ts';
import { runPhase, type Screen } from '../progress.ts';
import { type LookupFigure, measureLookups } from './lookup.ts';
import { isComplete, parseScaleOptions, SCALE_USAGE, type ScaleOptions, type ScalePart } from './options.ts';
import { judge, type ScaleResult, toMarkdown } from './result.ts';
import { measureStart, type StartFigure } from './start.ts';
import { measureSteady, type SteadyFigure } from './steady.ts';
import { measureStorm, type StormFigure } from './storm.ts';

const RESULTS = fileURLToPath(new URL('../../../bench/results/', import.meta.url));
/** Roughly, for the progress bars, seconds. */
const LOOKUP_SECONDS = 8;
const START_SECONDS = 25;
const STORM_SECONDS = 10;
const OPEN_SECONDS = 10;

/** Runs from command-line arguments. Progress goes to `progress`, the result to `screen`. Returns the exit status: 1 when a criterion was missed. */
export async function runScale(args: readonly string[], screen: Screen, progress: Screen): Promise<number> {
  const options = parseScaleOptions(args);
  if (options === 'help') {
    screen.write(SCALE_USAGE);
    return 0;
  }
  if (judgePrivilege(examinePrivilege()).kind !== 'own')
    throw new GigatunError('PERMISSION', 'the scale run needs root: it makes network namespaces and TUN interfaces');
  const result = await measure(options, progress);
  screen.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : `\n${toMarkdown(result)}\n`);
  progress.write(`Written: ${writeFiles(result, isComplete(options)).join(', ')}\n`);
  return judge(result).every(({ reached }) => reached) ? 0 : 1;
}

async function measure(options: ScaleOptions, progress: Screen): Promise<ScaleResult> {
  const machine = await examineMachine();
  const warning = busyWarning(machine);
  if (warning !== null) progress.write(`${warning}\n`);
  const has = (part: ScalePart): boolean => options.parts.includes(part);
  return {
    report: 'gigatun scale',
    takenAt: new Date().toISOString(),
    machine,
    options,
    lookups: has('lookup') ? await lookups(progress) : [],
    start: has('start') ? await start(options, progress) : null,
    storms: has('storm') ? await storms(options, progress) : [],
    steady: has('steady') ? await steady(options, progress) : null,
  };
}

function lookups(progress: Screen): Promise<LookupFigure[]> {
  const describe = (figures: LookupFigure[]): string =>
    figures
      .map(({ ns }) => ns.toFixed(0))
      .join(', ')
      .concat(' ns');
  return runPhase(progress, 'route look-up', LOOKUP_SECONDS, async () => measureLookups(), describe);
}

function start(options: ScaleOptions, progress: Screen): Promise<StartFigure> {
  const describe = (figure: StartFigure): string =>
    `${(figure.startMs / 1_000).toFixed(1)} s, ${Math.round(figure.bytesPerPeer)} bytes per peer`;
  return runPhase(progress, `start with ${options.peers} peers`, START_SECONDS, () => measureStart(options), describe);
}

async function storms(options: ScaleOptions, progress: Screen): Promise<StormFigure[]> {
  const describe = ({ settledMs, starved }: StormFigure): string => `${Math.round(settledMs)} ms, ${starved} starved`;
  const figures: StormFigure[] = [];
  for (let at = 1; at <= options.repeats; at += 1) {
    const title = `storm ${at} of ${options.repeats}`;
    figures.push(await runPhase(progress, title, STORM_SECONDS, () => measureStorm(options), describe));
  }
  return figures;
}

function steady(options: ScaleOptions, progress: Screen): Promise<SteadyFigure> {
  const seconds = 4 * OPEN_SECONDS + 2 * options.repeats * options.seconds;
  const action = (): Promise<SteadyFigure> => measureSteady(options);
  return runPhase(progress, 'one active peer', seconds, action, ({ ratio }) => `${ratio.toFixed(3)} of one peer's`);
}

function writeFiles(result: ScaleResult, isKept: boolean): string[] {
  const directory = isKept ? RESULTS : join(RESULTS, 'tmp');
  mkdirSync(directory, { recursive: true });
  const forms = { json: `${JSON.stringify(result, null, 2)}\n`, md: toMarkdown(result) };
  return Object.entries(forms).map(([extension, text]) => {
    const path = join(directory, `scale.${extension}`);
    writeFileSync(path, text);
    return relative(process.cwd(), path);
  });
}

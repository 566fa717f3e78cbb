/** `npm run scenarios`: each scenario, subject by subject, rounds interleaved, there and back; medians against what is expected. */
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { GigatunError } from '../../errors.ts';
import { busyWarning, examineMachine } from '../machine.ts';
import { examinePrivilege, judgePrivilege } from '../privilege.ts';
import type { Screen } from '../progress.ts';
import { bulk, steady, stream, warmUp } from './loads.ts';
import { parseScenarioOptions, SCENARIOS_USAGE, type ScenarioOptions } from './options.ts';
import { judge, type Outcome, type Sample, type SubjectOutcome } from './outcome.ts';
import { formatOutcomes } from './results.ts';
import { type Load, SCENARIOS, type Scenario, type Subject } from './scenarios.ts';
import { isGigatun, Scene } from './scene.ts';

const RESULTS = fileURLToPath(new URL('../../../bench/results/scenarios', import.meta.url));

/** Runs from command-line arguments. Progress goes to `progress`, results to `screen`. Returns the exit status: 1 when an expectation was missed or a run failed. */
export async function runScenarios(args: readonly string[], screen: Screen, progress: Screen): Promise<number> {
  const options = parseScenarioOptions(args);
  if (options === 'help') {
    screen.write(SCENARIOS_USAGE);
    return 0;
  }
  if (judgePrivilege(examinePrivilege()).kind !== 'own')
    throw new GigatunError('PERMISSION', 'scenarios need root: they make network namespaces and TUN interfaces');
  const machine = await examineMachine();
  progress.write(busyWarning(machine) ?? '');
  const takenAt = new Date().toISOString();
  const conditions = `${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}. Ends, loads and emulators share these cores. Loads took ${Math.round(options.time * 100)} % of their times.`;
  const outcomes: Outcome[] = [];
  for (const scenario of options.scenarios) outcomes.push(await measure(scenario, options, progress));
  const text = formatOutcomes(outcomes, takenAt, conditions);
  const json = `${JSON.stringify({ report: 'gigatun scenarios', takenAt, machine, outcomes }, null, 2)}\n`;
  screen.write(options.json ? json : text);
  if (options.write) write(text, json, options);
  return isGood(options.scenarios, outcomes) ? 0 : 1;
}

function write(text: string, json: string, { scenarios, subjects, time }: ScenarioOptions): void {
  if (scenarios.length < SCENARIOS.length || subjects.length > 0 || time < 0.5)
    throw new GigatunError(
      'CONFIG',
      '--write: expected a whole run: without --only and --subjects, --time 50 at least',
    );
  writeFileSync(`${RESULTS}.md`, text);
  writeFileSync(`${RESULTS}.json`, json);
}

function isGood(scenarios: readonly Scenario[], outcomes: readonly Outcome[]): boolean {
  const missed = scenarios.some((scenario, at) => {
    const outcome = outcomes[at];
    return outcome === undefined || judge(scenario, outcome).some(({ isMet }) => !isMet);
  });
  return !missed && outcomes.every(({ subjects }) => subjects.every(({ failures }) => failures.length === 0));
}

async function measure(scenario: Scenario, options: ScenarioOptions, progress: Screen): Promise<Outcome> {
  const { name, title, links, loads } = scenario;
  const wanted = scenario.subjects.filter(
    (subject) => options.subjects.length === 0 || options.subjects.some((text) => subject.name.includes(text)),
  );
  const gathered = wanted.map((subject) => ({
    subject,
    samples: loads.map((): Sample[] => []),
    failures: [] as string[],
  }));
  const rounds = options.rounds ?? scenario.rounds ?? 1;
  for (let round = 1; round <= rounds; round += 1)
    for (const one of round % 2 === 1 ? gathered : gathered.toReversed()) {
      progress.write(`${title}: ${one.subject.name} (round ${round} of ${rounds})\n`);
      try {
        await measureSubject(scenario, one.subject, one.samples, options, progress);
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        one.failures.push(message);
        progress.write(`  failed: ${message}\n`);
      }
    }
  const subjects: SubjectOutcome[] = gathered.map(({ subject, samples, failures }) => ({
    name: subject.name,
    loads: samples,
    failures,
  }));
  return { name, title, links: links.map((link) => link.join(' ')), loads, subjects };
}

/** Opens the scene, runs the loads one after the other, closes it. */
async function measureSubject(
  { links, linkMtu, innerMtu, loads }: Scenario,
  { a, b }: Subject,
  samples: readonly Sample[][],
  { time, stats }: ScenarioOptions,
  progress: Screen,
): Promise<void> {
  const sizes = { ...(linkMtu === undefined ? {} : { linkMtu }), ...(innerMtu === undefined ? {} : { innerMtu }) };
  const scene = await Scene.open({ links, a, b, ...sizes });
  try {
    await warmUp(scene);
    for (const [at, load] of loads.entries()) {
      const sample = await runLoad(scene, load, time);
      samples[at]?.push(sample);
      progress.write(`  ${JSON.stringify(sample.figures)}\n`);
    }
    if (stats) for (const end of [scene.a, scene.b]) if (isGigatun(end)) progress.write(await end.statsText());
  } finally {
    await scene.close();
  }
}

async function runLoad(scene: Scene, load: Load, time: number): Promise<Sample> {
  const seconds = load.seconds * time;
  if (load.kind === 'bulk')
    return {
      kind: 'bulk',
      figures: await bulk(
        scene,
        Math.max(1, Math.round(seconds)),
        load.streams,
        Math.round((load.omitSeconds ?? 0) * time),
      ),
    };
  if (load.kind === 'steady')
    return { kind: 'steady', figures: await steady(scene, seconds, load.megabits, scaled(load.cut, time)) };
  const cut = load.cut === undefined ? null : scaled(load.cut, time);
  return { kind: 'stream', figures: await stream(scene, { ...load, seconds }, cut) };
}

function scaled<C extends { readonly afterSeconds: number; readonly seconds: number }>(cut: C, time: number): C {
  return { ...cut, afterSeconds: cut.afterSeconds * time, seconds: cut.seconds * time };
}

/**
 * A program, the fuzz campaign: prints a Markdown table of target, inputs, seconds, findings, and each finding. Ends with
 * status 1 when there was one.
 *
 *     npm run fuzz -- [--inputs N] [--seed S] [--targets A,B] [--replay TARGET:NUMBER]
 */
import { parseArgs } from 'node:util';
import { runCampaign, runInput } from './campaign.ts';
import { TARGETS } from './targets.ts';

const text = { type: 'string' } as const;
const { values } = parseArgs({ options: { inputs: text, seed: text, targets: text, replay: text } });
const seed = Number(values.seed ?? 1);
const inputs = Number(values.inputs ?? 1_000_000);
if (!Number.isSafeInteger(seed) || !Number.isSafeInteger(inputs) || inputs < 1)
  throw new RangeError('expected whole numbers for --seed and --inputs');

if (values.replay === undefined) campaign();
else replay(values.replay);

function campaign(): void {
  const names = values.targets?.split(',') ?? TARGETS.map(({ name }) => name);
  const reports = runCampaign(names.map(targetOf), inputs, seed);
  const rows = reports.map(({ target, inputs: done, seconds, slowestMs, findings }) =>
    [target, done, seconds.toFixed(1), slowestMs.toFixed(0), findings.length].join(' | '),
  );
  const head = ['target | inputs | seconds | slowest 256 inputs, ms | findings', '--- | --- | --- | --- | ---'];
  process.stdout.write(`seed ${seed}\n\n${[...head, ...rows].map((row) => `| ${row} |`).join('\n')}\n`);
  for (const { target, findings } of reports)
    for (const { input, message } of findings) process.stdout.write(`\n${target}:${input}\n${message}\n`);
  if (reports.some(({ findings }) => findings.length > 0)) process.exitCode = 1;
}

function replay(what: string): void {
  const [name = '', input = ''] = what.split(':');
  runInput(targetOf(name), Number(input), seed);
}

function targetOf(name: string): (typeof TARGETS)[number] {
  const found = TARGETS.find((target) => target.name === name);
  if (found !== undefined) return found;
  throw new RangeError(`expected a target of ${TARGETS.map((target) => target.name).join(', ')}, got '${name}'`);
}

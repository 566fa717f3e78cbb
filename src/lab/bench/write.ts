/** Files of a bench result: one name in three forms, under bench/results/ when it is worth keeping. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { machineKind } from '../machine.ts';
import { toChart } from './chart.ts';
import { toMarkdown } from './markdown.ts';
import type { BenchResult } from './result.ts';

const RESULTS = fileURLToPath(new URL('../../../bench/results/', import.meta.url));

/** Writes DATE-KIND.json, .md and .svg, and latest.* beside them for a complete run. Returns the paths as the user sees them. */
export function writeResult(result: BenchResult, isComplete: boolean): string[] {
  const directory = isComplete ? RESULTS : join(RESULTS, 'tmp');
  const name = `${result.takenAt.slice(0, 10)}-${machineKind(result.machine)}`;
  const names = isComplete ? [name, 'latest'] : [name];
  mkdirSync(directory, { recursive: true });
  return names.flatMap((one) => writeForms(join(directory, one), one, result));
}

function writeForms(path: string, name: string, result: BenchResult): string[] {
  const forms = {
    json: `${JSON.stringify(result, null, 2)}\n`,
    svg: toChart(result),
    md: `${toMarkdown(result)}\n![chart of the medians](${name}.svg)\n`,
  };
  return Object.entries(forms).map(([extension, text]) => {
    writeFileSync(`${path}.${extension}`, text);
    return relative(process.cwd(), `${path}.${extension}`);
  });
}

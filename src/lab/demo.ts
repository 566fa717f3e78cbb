/**
 * The main job on an embedded default: two namespaces, a veth pair, fresh keys, gigatun at each end, TCP through it each
 * way, then the books of both ends and one answer. Nothing stays: not after success, failure or Ctrl-C.
 */
import { writeFileSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import { onExit } from './cleanup.ts';
import { type DemoReport, demoReport, formatAnswer } from './demo-report.ts';
import { type GigatunEnd, openGigatun } from './gigatun-end.ts';
import { examineMachine } from './machine.ts';
import { measureTcp, type TcpCost } from './measure.ts';
import { Lab } from './namespaces.ts';
import { innerRoute, type Pair, planPair } from './pair.ts';
import { waitForEcho } from './ping.ts';
import { examinePrivilege, judgePrivilege, rerunInUserNamespace } from './privilege.ts';
import { runPhase, type Screen } from './progress.ts';
import { usageOf } from './usage.ts';

const ECHO_MS = 10_000;
const LOG_LINES = 30;

export interface DemoOptions {
  /** Length of each of the two TCP phases. Default 5. */
  readonly seconds?: number;
  /** File that receives all figures as JSON. */
  readonly json?: string | null;
  /** IPv6 inside instead of IPv4. Default false. */
  readonly ipv6?: boolean;
  /** Lanes at each end. Default 1. */
  readonly lanes?: number;
  /** Default: this process's standard output. */
  readonly stdout?: Screen;
}

/**
 * Runs the demo and prints it. Returns the exit status: 0, or that of the copy which ran in a user namespace.
 *
 * @throws GigatunError PERMISSION when this machine or user cannot make namespaces or TUN interfaces, naming what is missing;
 * SYSTEM when a step failed, after printing what both ends said.
 */
export async function runDemo(options: DemoOptions): Promise<number> {
  const { stdout = process.stdout } = options;
  const privilege = judgePrivilege(examinePrivilege());
  if (privilege.kind === 'user-namespace') return rerunInUserNamespace();
  if (privilege.kind === 'missing') {
    throw new GigatunError('PERMISSION', `the demo cannot run here:\n  ${privilege.reasons.join('\n  ')}`);
  }
  const takeBack = onExit(() => stdout.write('\nInterrupted. Namespaces, interfaces and programs are gone.\n'));
  const lab = new Lab();
  const ends: GigatunEnd[] = [];
  try {
    await demonstrate(lab, ends, options, stdout);
    return 0;
  } catch (error) {
    for (const end of ends) stdout.write(`\nThe last words of ${end.plan.device}:\n${lastWords(end)}\n`);
    throw error;
  } finally {
    await Promise.all(ends.map((end) => end.close()));
    lab.close();
    takeBack();
  }
}

async function demonstrate(lab: Lab, ends: GigatunEnd[], options: DemoOptions, stdout: Screen): Promise<void> {
  const { seconds = 5, lanes = 1, ipv6 = false, json = null } = options;
  const machine = await examineMachine();
  stdout.write(
    `gigatun demo on ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}, Node.js ${machine.node}\n\n`,
  );
  const pair = planPair(lab, { devices: ['gigatun-a', 'gigatun-b'] });
  await runPhase(
    stdout,
    'two namespaces, keys, a handshake',
    1,
    () => openBoth(lab, pair, lanes, ends),
    (text) => text,
  );
  const phases = await runPhases(pair, ends, { seconds, version: ipv6 ? 6 : 4, stdout });
  const stats = await Promise.all(ends.map((end) => end.statsJson()));
  const usages = ends.map((end) => usageOf(end.pid));
  for (const end of ends) stdout.write(`\n${await end.statsText()}`);
  const report = demoReport({ machine, lanes, seconds, ipv6, phases, stats, usages });
  stdout.write(`\n${formatAnswer(report)}\n`);
  if (json !== null) writeReport(json, report, stdout);
}

async function openBoth(lab: Lab, pair: Pair, lanes: number, ends: GigatunEnd[]): Promise<string> {
  for (const plan of [pair.a, pair.b]) ends.push(await openGigatun(lab, plan, { lanes }));
  await waitForEcho(innerRoute(pair, 4), ECHO_MS);
  return 'the tunnel is up';
}

interface PhasesOptions {
  readonly seconds: number;
  readonly version: 4 | 6;
  readonly stdout: Screen;
}

async function runPhases(pair: Pair, ends: readonly GigatunEnd[], options: PhasesOptions): Promise<TcpCost[]> {
  const { seconds, version, stdout } = options;
  const pids = ends.map((end) => end.pid);
  const results: TcpCost[] = [];
  for (const reverse of [false, true]) {
    const title = `TCP over IPv${version}, ${reverse ? 'b to a' : 'a to b'}, one stream`;
    const load = { seconds, reverse };
    results.push(
      await runPhase(stdout, title, seconds, () => measureTcp(innerRoute(pair, version), load, pids), describe),
    );
  }
  return results;
}

function describe({ gigabitsPerSecond, cpuSecondsPerGb }: TcpCost): string {
  return `${gigabitsPerSecond.toFixed(2)} Gbit/s, ${cpuSecondsPerGb.toFixed(2)} CPU-seconds per GB (both ends)`;
}

function lastWords(end: GigatunEnd): string {
  const lines = end.log().trim().split('\n').slice(-LOG_LINES);
  return lines.map((line) => `  ${line}`).join('\n');
}

function writeReport(file: string, report: DemoReport, stdout: Screen): void {
  writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`);
  stdout.write(`All figures are in ${file}.\n`);
}

/**
 * An attack run: in each round the TCP stream without a flood, beside the floors, and beside each kind of flood, one leg after
 * the other, so that what changes on the machine changes all of them; then the result as a table or as JSON.
 */
import { GigatunError } from '../../errors.ts';
import { runTcp } from '../iperf.ts';
import { busyWarning, examineMachine } from '../machine.ts';
import { examinePrivilege, judgePrivilege } from '../privilege.ts';
import { runPhase, type Screen } from '../progress.ts';
import { significant } from '../statistics.ts';
import { AttackLab } from './attack-lab.ts';
import { type FloodKind, floorOf } from './flood-kinds.ts';
import { type Leg, runLeg } from './leg.ts';
import { ATTACK_USAGE, type AttackOptions, parseAttackOptions } from './options.ts';
import { aloneTable, attackTable, type Round } from './report.ts';

/** What a leg takes beyond its stream. */
const LEG_SECONDS = 2;
/** The first stream of all is not counted: code is compiled, buffers grow. */
const WARM_SECONDS = 2;

/** Runs from command-line arguments. Progress goes to `progress`, the result to `screen`. Returns the exit status. */
export async function runAttack(args: readonly string[], screen: Screen, progress: Screen): Promise<number> {
  const options = parseAttackOptions(args);
  if (options === 'help') {
    screen.write(ATTACK_USAGE);
    return 0;
  }
  if (judgePrivilege(examinePrivilege()).kind !== 'own')
    throw new GigatunError('PERMISSION', 'the attack run needs root: it makes network namespaces and TUN interfaces');
  const warning = busyWarning(await examineMachine());
  if (warning !== null) progress.write(`${warning}\n`);
  const floors = options.alone ? [] : [...new Set(options.kinds.map(floorOf))];
  const legs = 1 + floors.length + options.kinds.length;
  await using lab = await AttackLab.open(options.alone ? 0 : legs * options.rounds, options.program);
  await runTcp(lab.route, { seconds: WARM_SECONDS });
  const rounds: Round[] = [];
  for (let round = 0; round < options.rounds; round += 1) rounds.push(await runRound(lab, floors, options, progress));
  screen.write(`${options.json ? JSON.stringify({ options, rounds }, null, 2) : tableOf(rounds, options)}\n`);
  return 0;
}

function tableOf(rounds: readonly Round[], { alone, kinds }: AttackOptions): string {
  return alone ? aloneTable(rounds, kinds) : attackTable(rounds, kinds);
}

async function runRound(
  lab: AttackLab,
  floors: readonly FloodKind[],
  options: AttackOptions,
  screen: Screen,
): Promise<Round> {
  const leg = (kind: FloodKind | null): Promise<Leg> =>
    runPhase(screen, kind?.name ?? 'none', options.seconds + LEG_SECONDS, () => runLeg(lab, kind, options), describe);
  const none = options.alone ? null : await leg(null);
  const floorLegs: Record<string, Leg> = {};
  for (const floor of floors) floorLegs[floor.name] = await leg(floor);
  const kinds: { leg: Leg; floor: string }[] = [];
  for (const kind of options.kinds) kinds.push({ leg: await leg(kind), floor: floorOf(kind).name });
  return { none, floors: floorLegs, kinds };
}

function describe({ gigabitsPerSecond, datagramsPerSecond, newcomerMs, cookies }: Leg): string {
  const flood = `${significant(datagramsPerSecond)}/s, ${significant(cookies)} handshake messages sent`;
  return `${significant(gigabitsPerSecond)} Gbit/s, newcomer in after ${significant(newcomerMs)} ms, ${flood}`;
}

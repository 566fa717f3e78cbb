/**
 * Carries a link plan out, step by step, and undoes it in reverse: when it is told to, and, through the journal, when an
 * earlier process was killed before it could. The journal holds the undoing of every step that may have been done; it is
 * written before the step, so that nothing is done that nobody knows of, and what could not be undone stays in it.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import { type Command, type CommandResult, formatCommand, type RunCommand, requireCommand } from './command.ts';
import type { Action, LinkPlan, LinkStep } from './link-plan.ts';
import type { Logger } from './log.ts';
import { asGigatunError, codeOf, messageOf } from './system-error.ts';

export interface LinkTools {
  readonly run: RunCommand;
  readonly log: Logger;
  /** File of the journal; it is absent while there is nothing to undo. */
  readonly journal: string;
  /** Ends the work between two steps. */
  readonly signal: AbortSignal;
}

/** One link: what has been done to it and not yet undone. */
export interface Link {
  /**
   * Carries out a plan, up to the first step that fails.
   *
   * @throws GigatunError of that step, or the signal's reason; undoing those before it is left to `undo`.
   */
  carryOut(plan: LinkPlan): Promise<void>;
  /**
   * Undoes everything, in reverse, to the end even if something fails. Twice is fine: the second time tries what failed.
   *
   * @throws GigatunError SYSTEM with all that could not be undone; the journal keeps it.
   */
  undo(): Promise<void>;
}

/** A link to which nothing has been done yet. */
export function openLink(tools: LinkTools): Link {
  const undos: Action[] = [];
  return {
    carryOut: async (plan) => {
      for (const step of plan.steps) await applyStep(step, undos, tools);
    },
    undo: () => undoAll(undos, tools),
  };
}

async function applyStep(step: LinkStep, undos: Action[], tools: LinkTools): Promise<void> {
  tools.signal.throwIfAborted();
  if (step.undo !== null) {
    undos.push(step.undo);
    writeJournal(tools.journal, undos);
  }
  try {
    tools.log.debug('link', { step: formatAction(step.action) });
    await perform(step.action, tools.run);
  } catch (error) {
    if (step.undo !== null) undos.pop();
    if (!step.optional) throw error;
    tools.log.warn(messageOf(error));
  }
}

/** Takes from the list what it has undone. */
async function undoAll(undos: Action[], tools: LinkTools): Promise<void> {
  const left: Action[] = [];
  const failures: string[] = [];
  for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) {
    try {
      tools.log.debug('link', { undo: formatAction(undo) });
      await perform(undo, (command) => runUndo(command, tools.run));
    } catch (error) {
      left.unshift(undo);
      failures.push(messageOf(error));
    }
  }
  undos.push(...left);
  if (left.length === 0) {
    rmSync(tools.journal, { force: true });
    return;
  }
  writeJournal(tools.journal, left);
  throw new GigatunError('SYSTEM', `${failures.join('; ')} (kept in ${tools.journal} for the next try)`);
}

/** What others have removed already is undone. */
async function runUndo(command: Command, run: RunCommand): Promise<CommandResult> {
  const result = await run(command);
  return isGone(command, result) ? { ...result, status: 0 } : result;
}

/** How ip and nft say that there is no such rule, table or interface, or no IPv6 that could have one. */
const GONE =
  /No such (?:file or directory|process|device)|does not exist|Cannot find device|Address family not supported/;

function isGone({ program }: Command, { stderr }: CommandResult): boolean {
  return (program === 'ip' || program === 'nft') && GONE.test(stderr);
}

/**
 * Undoes what an earlier process of this interface left behind; what others have undone meanwhile is fine.
 *
 * @returns whether there was a journal.
 * @throws GigatunError SYSTEM with all that could not be undone; the journal keeps it.
 */
export async function recoverLink(tools: LinkTools): Promise<boolean> {
  const undos = readJournal(tools.journal);
  if (undos === null) return false;
  try {
    await undoAll(undos, tools);
  } catch (cause) {
    const what = `an earlier gigatun left behind what could not be undone: ${messageOf(cause)}`;
    throw new GigatunError('SYSTEM', `${what}; undo it by hand and remove that file, if it stays so`, { cause });
  }
  return true;
}

async function perform(action: Action, run: RunCommand): Promise<void> {
  if (action.kind === 'run') {
    await requireCommand(run, action.command);
    return;
  }
  try {
    writeFileSync(action.path, action.text);
  } catch (error) {
    throw asGigatunError(error, `write ${action.text} to ${action.path}`);
  }
}

function formatAction(action: Action): string {
  if (action.kind === 'write') return `write ${action.text} to ${action.path}`;
  const { input } = action.command;
  return input === undefined ? formatCommand(action.command) : `${formatCommand(action.command)} < ${input}`;
}

function writeJournal(journal: string, undos: readonly Action[]): void {
  try {
    writeFileSync(`${journal}.new`, JSON.stringify(undos), { mode: 0o600 });
    renameSync(`${journal}.new`, journal);
  } catch (error) {
    // On a full disk the empty file would stay.
    rmSync(`${journal}.new`, { force: true });
    throw asGigatunError(error, `write ${journal}`);
  }
}

function readJournal(journal: string): Action[] | null {
  let text: string;
  try {
    text = readFileSync(journal, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return null;
    throw asGigatunError(error, `read ${journal}`);
  }
  return parseJournal(text, journal);
}

function parseJournal(text: string, journal: string): Action[] {
  const broken = new GigatunError(
    'CONFIG',
    `expected a journal of gigatun in ${journal}, got something else; remove it`,
  );
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw broken;
  }
  if (!Array.isArray(value) || !value.every(isAction)) throw broken;
  return value;
}

/** Programs that an undoing may run; the journal is its owner's file, this guards against a mix-up. */
const UNDO_PROGRAMS: readonly unknown[] = ['ip', 'nft', 'resolvconf'];

function isAction(value: unknown): value is Action {
  if (typeof value !== 'object' || value === null || !('kind' in value)) return false;
  if (value.kind !== 'run' || !('command' in value)) return false;
  const { command } = value;
  if (typeof command !== 'object' || command === null || !('program' in command) || !('args' in command)) return false;
  const { program, args } = command;
  const words = Array.isArray(args) && args.every((word) => typeof word === 'string');
  return words && UNDO_PROGRAMS.includes(program);
}

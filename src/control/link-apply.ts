/**
 * Carries a link plan out, step by step, and undoes it in reverse: when a step fails, when it is told to, and, through
 * the journal, when an earlier process was killed before it could. The journal holds the undoing of every step that may
 * have been done; it is written before the step, so that nothing is done that nobody knows of.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import { formatCommand, type RunCommand, requireCommand } from './command.ts';
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

/** What has been done and not yet undone. */
export interface AppliedLink {
  /** Undoes everything, in reverse; a failing step is logged and the others still run. Twice is fine. */
  undo(): Promise<void>;
}

/**
 * Carries out a plan.
 *
 * @throws GigatunError of the step that failed, after undoing those before it.
 */
export async function applyLink(plan: LinkPlan, tools: LinkTools): Promise<AppliedLink> {
  const undos: Action[] = [];
  const applied = { undo: (): Promise<void> => undoAll(undos, tools) };
  try {
    for (const step of plan.steps) await applyStep(step, undos, tools);
  } catch (error) {
    await applied.undo();
    throw error;
  }
  return applied;
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

async function undoAll(undos: Action[], tools: LinkTools): Promise<void> {
  for (let undo = undos.pop(); undo !== undefined; undo = undos.pop()) {
    try {
      tools.log.debug('link', { undo: formatAction(undo) });
      await perform(undo, tools.run);
    } catch (error) {
      tools.log.warn(messageOf(error));
    }
  }
  rmSync(tools.journal, { force: true });
}

/**
 * Undoes what an earlier process of this interface left behind. Its steps may have been undone by others: failures are
 * logged as debug only.
 *
 * @returns whether there was a journal.
 */
export async function recoverLink(tools: LinkTools): Promise<boolean> {
  const undos = readJournal(tools.journal);
  if (undos === null) return false;
  const log = { ...tools.log, warn: tools.log.debug };
  await undoAll(undos, { ...tools, log });
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

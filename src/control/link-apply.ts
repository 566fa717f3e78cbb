/**
 * Carries a link plan out, step by step, and undoes it in reverse: when it is told to, and, through the journal, when an
 * earlier process was killed before it could. The journal holds the undoing of every step that may have been done; it is
 * written before the step, so that nothing is done that nobody knows of, and what could not be undone stays in it.
 */
import { rmSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import type { RunCommand } from './command.ts';
import { formatAction, perform, runUndo } from './link-action.ts';
import { changeLink } from './link-change.ts';
import type { LinkMove } from './link-difference.ts';
import { readJournal, writeJournal } from './link-journal.ts';
import type { Action, LinkPlan, LinkStep } from './link-plan.ts';
import type { Logger } from './log.ts';
import { messageOf } from './system-error.ts';

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
   * Carries moves out, all or none of them: when one fails, or the signal says so, those before it are taken back.
   *
   * @returns what takes them all back, should something fail that comes behind them; it throws what it could not.
   * @throws GigatunError of the move that failed, with all that could not be taken back.
   */
  change(moves: readonly LinkMove[], signal: AbortSignal): Promise<() => Promise<void>>;
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
    change: (moves, signal) => changeLink(moves, undos, { ...tools, signal }),
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

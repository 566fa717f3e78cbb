/**
 * Changes a link that is up, move by move: what fails, or is stopped, is taken back to where it began. The journal stays
 * true all the while: it holds an undoing from before its action on, and until what it undoes is gone.
 */
import { rmSync } from 'node:fs';
import { GigatunError } from '../errors.ts';
import { formatAction, perform, runUndo } from './link-action.ts';
import type { LinkTools } from './link-apply.ts';
import type { LinkMove } from './link-difference.ts';
import { writeJournal } from './link-journal.ts';
import type { Action } from './link-plan.ts';
import { asGigatunError, messageOf } from './system-error.ts';

/**
 * Carries moves out, all or none of them.
 *
 * @param undos what the journal holds; follows.
 * @returns what takes them all back; it throws what it could not.
 * @throws GigatunError of the move that failed, with all that could not be taken back.
 */
export async function changeLink(
  moves: readonly LinkMove[],
  undos: Action[],
  tools: LinkTools,
): Promise<() => Promise<void>> {
  const done: LinkMove[] = [];
  const takeBack = (): Promise<void> => takeBackMoves(done, undos, tools);
  for (const move of moves) {
    try {
      tools.signal.throwIfAborted();
      const part = await applyMove(move, undos, tools);
      if (part === null) continue;
      done.push(part);
      if (part.settles !== null) strike(undos, part.settles, tools.journal);
    } catch (error) {
      if (error instanceof PartlyDone) done.push(error.move);
      throw await withRest(error instanceof PartlyDone ? error.cause : error, takeBack);
    }
  }
  return takeBack;
}

/** The error itself, or, when taking back fails too, one that says both. */
async function withRest(error: unknown, takeBack: () => Promise<void>): Promise<unknown> {
  try {
    await takeBack();
    return error;
  } catch (rest) {
    const { code, message } = asGigatunError(error, 'change the link');
    return new GigatunError(code, `${message}; ${messageOf(rest)}`, { cause: error });
  }
}

/** A batch stopped in the middle: the lines before it are done. */
class PartlyDone extends Error {
  readonly move: LinkMove;

  constructor(move: LinkMove, cause: unknown) {
    super('partly done', { cause });
    this.move = move;
  }
}

/** @returns the move as far as it was done; null when it was optional and failed. */
async function applyMove(move: LinkMove, undos: Action[], tools: LinkTools): Promise<LinkMove | null> {
  if (move.journals !== null) note(undos, move.journals, tools.journal);
  const { action } = move;
  if (action === null) return move;
  try {
    tools.log.debug('link', { step: formatAction(action) });
    await perform(action, (command) => (move.removes ? runUndo(command, tools.run) : tools.run(command)));
  } catch (error) {
    if (move.journals !== null) strike(undos, move.journals, tools.journal);
    const part = partDone(move, error);
    if (part !== null) throw new PartlyDone(part, error);
    if (!move.optional) throw error;
    tools.log.warn(messageOf(error));
    return null;
  }
  return move;
}

/** Takes from the list what it has taken back. */
async function takeBackMoves(done: LinkMove[], undos: Action[], tools: LinkTools): Promise<void> {
  const failures: string[] = [];
  for (let move = done.pop(); move !== undefined; move = done.pop()) {
    const { revert, journals, settles } = move;
    try {
      if (settles !== null) note(undos, settles, tools.journal);
      if (revert === null) continue;
      tools.log.debug('link', { takeBack: formatAction(revert) });
      await perform(revert, (command) => runUndo(command, tools.run));
      if (journals !== null) strike(undos, journals, tools.journal);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  if (failures.length === 0) return;
  throw new GigatunError('SYSTEM', `not all could be taken back: ${failures.join('; ')}`);
}

function note(undos: Action[], undo: Action, journal: string): void {
  undos.push(undo);
  try {
    writeJournal(journal, undos);
  } catch (error) {
    undos.pop();
    throw error;
  }
}

function strike(undos: Action[], undo: Action, journal: string): void {
  const at = undos.findLastIndex((other) => JSON.stringify(other) === JSON.stringify(undo));
  if (at === -1) return;
  undos.splice(at, 1);
  if (undos.length === 0) rmSync(journal, { force: true });
  else writeJournal(journal, undos);
}

/** What a batch that failed at a line has done: the lines before it, or, where it went on behind it, perhaps all. */
function partDone(move: LinkMove, error: unknown): LinkMove | null {
  const failedLine = Number(/Command failed -:(\d+)/.exec(messageOf(error))?.[1] ?? 0);
  const { action, revert } = move;
  if (action?.kind === 'run' && action.command.args.includes('-force')) return move;
  if (failedLine < 2) return null;
  if (revert?.kind !== 'run' || revert.command.input === undefined) return null;
  const input = revert.command.input.split('\n', failedLine - 1).join('\n');
  return { ...move, revert: { kind: 'run', command: { ...revert.command, input: `${input}\n` } } };
}

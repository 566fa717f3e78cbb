/** Does one thing to the host, and undoes one that others may have undone already. */
import { writeFileSync } from 'node:fs';
import { type Command, type CommandResult, formatCommand, type RunCommand, requireCommand } from './command.ts';
import type { Action } from './link-plan.ts';
import { asGigatunError } from './system-error.ts';

/** @throws GigatunError of the command or the write. */
export async function perform(action: Action, run: RunCommand): Promise<void> {
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

/** An action as somebody would type it. */
export function formatAction(action: Action): string {
  if (action.kind === 'write') return `write ${action.text} to ${action.path}`;
  const { input } = action.command;
  return input === undefined ? formatCommand(action.command) : `${formatCommand(action.command)} < ${input}`;
}

/** What others have removed already is undone. */
export async function runUndo(command: Command, run: RunCommand): Promise<CommandResult> {
  const result = await run(command);
  return isGone(command, result) ? { ...result, status: 0 } : result;
}

/** How ip and nft say that there is no such rule, table, address or interface, or no IPv6 that could have one. */
const GONE =
  /No such (?:file or directory|process|device)|does not exist|Cannot find device|Address family not supported|Cannot assign requested address/;

function isGone({ program, args }: Command, { stderr }: CommandResult): boolean {
  if (!args.includes('-force')) return (program === 'ip' || program === 'nft') && GONE.test(stderr);
  // Of a batch, each line has its own reason.
  const reasons = stderr.split('\n').filter((line) => line !== '' && !line.startsWith('Command failed'));
  return reasons.every((line) => GONE.test(line));
}

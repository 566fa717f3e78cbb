/** Stand-ins for what the control code drives: programs, logs, directories. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Command, type CommandResult, formatCommand, type RunCommand } from '../../../src/control/command.ts';
import { createLogger, type Logger } from '../../../src/control/log.ts';

/** A run directory of its own, removed when the test is over. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'gigatun-test-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export interface FakeRunner {
  readonly run: RunCommand;
  /** Every command so far, as somebody would type it. */
  readonly commands: string[];
}

/** Runs nothing: succeeds with no output unless `answer` says otherwise. */
export function fakeRunner(
  answer: (text: string, command: Command) => Partial<CommandResult> | null = () => null,
): FakeRunner {
  const commands: string[] = [];
  const run: RunCommand = async (command) => {
    const text = formatCommand(command);
    commands.push(text);
    return { status: 0, stdout: '', stderr: '', ...answer(text, command) };
  };
  return { run, commands };
}

/** A logger that keeps its lines, without their time. */
export function keptLog(): { readonly log: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  return { log: createLogger('debug', (line) => lines.push(line.replace(/^\S+ /, '').trimEnd())), lines };
}

/** What something rejects with. */
export async function rejectionOf(promise: Promise<unknown>): Promise<unknown> {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new Error('expected a rejection, got a result');
}

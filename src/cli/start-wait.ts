/** The parent's end of a background start: hears what the child says on its pipe, and what its end says when it says nothing. */
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { GigatunError } from '../errors.ts';
import { say } from './print.ts';
import { parseStartMessage } from './start-channel.ts';

/** So much of the log's end is shown when the start failed without a word. */
const LOG_LINES_SHOWN = 10;

/**
 * Resolves at `ready`.
 *
 * @param exited resolves with how the child ended.
 * @param log file of the child's output, or null where it goes elsewhere.
 * @throws GigatunError what the child failed with, or, when it ended without a word, how, and the end of its log.
 */
export async function untilReady(pipe: Readable, exited: Promise<string>, log: string | null): Promise<void> {
  for await (const line of createInterface({ input: pipe })) {
    const message = parseStartMessage(line);
    if (message?.kind === 'report') say(message.text);
    if (message?.kind === 'ready') return;
    if (message?.kind === 'error') {
      await exited;
      throw message.error;
    }
  }
  const how = await exited;
  throw new GigatunError(
    'GONE',
    `the background process ended before it was ready (${how})${log === null ? '' : `; its log ${log} ends:\n${tailOf(log)}`}`,
  );
}

function tailOf(log: string): string {
  const lines = readFileSync(log, 'utf8').trimEnd().split('\n');
  return lines.slice(-LOG_LINES_SHOWN).join('\n');
}

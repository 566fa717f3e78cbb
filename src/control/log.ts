/**
 * The log: one line per event, never one per packet, and never a key. Whoever logs gives a sentence and, beside it,
 * fields; values are written as JSON where they hold anything but plain characters, so that a line stays a line.
 */
import { writeSync } from 'node:fs';
import { quoteValue } from './config-problems.ts';

export type LogField = string | number | boolean | null;
export type LogFields = Readonly<Record<string, LogField>>;

export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
}

/** From most to least talkative; `LOG_LEVEL=verbose` means debug, as wireguard-go has it. */
const LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LEVELS)[number];

/**
 * Reads the value of LOG_LEVEL: verbose, debug, info, warn, error or silent, in any case.
 *
 * @param fallback the level where there is none.
 * @param warn told of a value that is none of these; the fallback then holds, too.
 */
export function logLevelOf(text: string | undefined, fallback: LogLevel, warn: (text: string) => void): LogLevel {
  const word = text?.trim().toLowerCase() ?? '';
  const level = LEVELS.find((known) => known === (word === 'verbose' ? 'debug' : word));
  if (level === undefined && word !== '') {
    const known = `verbose, ${LEVELS.join(', ')}`;
    warn(`warning: expected LOG_LEVEL to be one of ${known}, got ${quoteValue(word)}; it is ${fallback} now`);
  }
  return level ?? fallback;
}

/**
 * Makes a logger that writes synchronously, so that the last words before an exit arrive.
 *
 * @param level the least level that is written.
 * @param write takes one whole line with its newline; stderr by default. Its failures are swallowed: a full or closed
 *   log must not end a tunnel.
 */
export function createLogger(level: LogLevel, write: (line: string) => void = writeToStderr): Logger {
  const threshold = LEVELS.indexOf(level);
  const at = (name: Exclude<LogLevel, 'silent'>) => {
    const enabled = LEVELS.indexOf(name) >= threshold;
    return (message: string, fields: LogFields = {}): void => {
      if (enabled) writeQuietly(write, formatLine(name, message, fields));
    };
  };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

function formatLine(level: string, message: string, fields: LogFields): string {
  const pairs = Object.entries(fields).map(([key, value]) => ` ${key}=${formatValue(value)}`);
  return `${new Date().toISOString()} ${level} ${onOneLine(message)}${pairs.join('')}\n`;
}

function formatValue(value: LogField): string {
  if (typeof value !== 'string') return String(value);
  return /^[\w.:/+@%[\]-]+$/.test(value) ? value : JSON.stringify(value);
}

function onOneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' | ');
}

function writeQuietly(write: (line: string) => void, line: string): void {
  try {
    write(line);
  } catch {
    // Nowhere left to say it.
  }
}

function writeToStderr(line: string): void {
  writeSync(2, line);
}

/**
 * First pass over a configuration file: text in, sections and `Key = Value` entries out, each with the line and column
 * of its key and of its value. A `#` starts a comment, except that a line `#gigatun: Key = Value` is an entry of its
 * own kind. What is no section and no entry becomes a problem; reading goes on behind it.
 */
import { type ConfigProblems, quoteValue } from './config-problems.ts';

/** Place in the file, both counted from 1; columns in UTF-16 units. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

export interface ConfigEntry {
  readonly kind: 'section' | 'wireguard' | 'gigatun';
  /** Section name without brackets, or key. */
  readonly key: string;
  readonly keyPlace: Place;
  /** Trimmed; empty for a section. */
  readonly value: string;
  readonly valuePlace: Place;
}

const SETTING_PREFIX = /^\s*#gigatun:/i;
const ALMOST_SETTING = /^\s*#\s+gigatun:\s*[a-z]+\s*=/i;

/** Splits a file into its entries, in order. */
export function readEntries(text: string, problems: ConfigProblems): ConfigEntry[] {
  const lines = text.replace(/^\uFEFF/, '').split(/\r\n|\n|\r/);
  return lines.flatMap((line, at) => readLine(line, at + 1, problems) ?? []);
}

function readLine(text: string, line: number, problems: ConfigProblems): ConfigEntry | null {
  const prefix = SETTING_PREFIX.exec(text)?.[0];
  if (prefix !== undefined) return readAssignment('gigatun', text, prefix.length, line, problems);
  if (ALMOST_SETTING.test(text)) {
    problems.warn(
      { line, column: text.indexOf('#') + 1 },
      'this is a comment; a setting starts with #gigatun: unspaced',
    );
  }
  const stripped = withoutComment(text);
  if (stripped.trim() === '') return null;
  if (stripped.trimStart().startsWith('[')) return readSection(stripped, line, problems);
  return readAssignment('wireguard', stripped, 0, line, problems);
}

function withoutComment(text: string): string {
  const at = text.indexOf('#');
  return at === -1 ? text : text.slice(0, at);
}

function readSection(text: string, line: number, problems: ConfigProblems): ConfigEntry | null {
  const place = { line, column: indentOf(text) + 1 };
  const name = /^\[\s*(\w+)\s*\]$/.exec(text.trim())?.[1];
  if (name !== undefined) return { kind: 'section', key: name, keyPlace: place, value: '', valuePlace: place };
  problems.add(place, 'a section as [Interface] or [Peer]', quoteValue(text.trim()), 'write the name in brackets');
  return null;
}

/** Reads `Key = Value` from the character `start` on. The text of a line without `=` is not shown: it may be a key. */
function readAssignment(
  kind: 'wireguard' | 'gigatun',
  text: string,
  start: number,
  line: number,
  problems: ConfigProblems,
): ConfigEntry | null {
  const rest = withoutComment(text.slice(start));
  const keyPlace = { line, column: start + indentOf(rest) + 1 };
  const equals = rest.indexOf('=');
  const key = rest.slice(0, Math.max(0, equals)).trim();
  if (!/^[a-z]+$/i.test(key)) {
    const got = equals === -1 ? 'a line without "="' : 'no plain word before "="';
    problems.add(keyPlace, 'Key = Value', got, 'put one setting on a line; # starts a comment');
    return null;
  }
  const value = rest.slice(equals + 1);
  const valueColumn = start + equals + 1 + (value.trim() === '' ? 0 : indentOf(value)) + 1;
  return { kind, key, keyPlace, value: value.trim(), valuePlace: { line, column: valueColumn } };
}

function indentOf(text: string): number {
  return text.length - text.trimStart().length;
}

/**
 * Collects what is wrong or doubtful in one configuration file, so that its author sees all of it at once. Each problem
 * reads `FILE:LINE:COLUMN: expected …, got …; hint`. Callers never pass key material.
 */
import { GigatunError } from '../errors.ts';
import type { Place } from './config-lines.ts';

/** So many problems are printed; of the rest, the number. */
const PROBLEMS_SHOWN_MAX = 50;
const QUOTE_LENGTH_MAX = 60;
/**
 * 42 base64 or hexadecimal digits in a row may be a key, wherever they stand; so may the rest of one, of which a slip of the
 * hand has eaten the front: 16 digits of all kinds, or before the `=` that ends a key.
 */
const LOOKS_LIKE_KEY = /[A-Za-z0-9+/]{42}|[A-Za-z0-9+/]{16}=/;
const LONG_WORDS = /[A-Za-z0-9+/]{16,}/g;
const KINDS_OF_DIGIT: readonly RegExp[] = [/[A-Z]/, /[a-z]/, /[0-9]/];

export class ConfigProblems {
  readonly #file: string;
  readonly #problems: { readonly place: Place; readonly text: string }[] = [];
  readonly #warnings: string[] = [];

  /** @param file the name that stands before each line number. */
  constructor(file: string) {
    this.#file = file;
  }

  /** The warnings so far, ready to print. */
  get warnings(): readonly string[] {
    return this.#warnings;
  }

  add(place: Place, expected: string, got: string, hint: string): void {
    this.#problems.push({ place, text: this.#at(place, `expected ${expected}, got ${got}; ${hint}`) });
  }

  warn(place: Place, text: string): void {
    this.#warnings.push(this.#at(place, `warning: ${text}`));
  }

  /** @throws GigatunError CONFIG with every problem, in the file's order, one a line; returns when there is none. */
  throwIfAny(): void {
    if (this.#problems.length === 0) return;
    const sorted = this.#problems.toSorted(
      (left, right) => left.place.line - right.place.line || left.place.column - right.place.column,
    );
    const lines = sorted.slice(0, PROBLEMS_SHOWN_MAX).map(({ text }) => text);
    if (sorted.length > lines.length) lines.push(`${this.#file}: and ${sorted.length - lines.length} more`);
    throw new GigatunError('CONFIG', lines.join('\n'));
  }

  #at(place: Place, text: string): string {
    return `${this.#file}:${place.line}:${place.column}: ${text}`;
  }
}

/** A value as an error may show it: quoted, no control characters, not longer than is useful, and never a key. */
export function quoteValue(text: string): string {
  if (mayHoldKey(text)) return 'a long word (not shown: it may be a key)';
  const short = text.length > QUOTE_LENGTH_MAX ? `${text.slice(0, QUOTE_LENGTH_MAX)}…` : text;
  return JSON.stringify(short).replaceAll(/\p{Cc}/gu, '?');
}

function mayHoldKey(text: string): boolean {
  const words = text.match(LONG_WORDS) ?? [];
  return LOOKS_LIKE_KEY.test(text) || words.some((word) => KINDS_OF_DIGIT.every((kind) => kind.test(word)));
}

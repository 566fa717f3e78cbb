/** A rule of the catalog of configuration keys: where a key's value goes, how often it may stand, and what it means. */
import type { Complaint, ValueReader } from './config-values.ts';

/**
 * How often a key may stand: `once`; `lines`, each one whole value; `list`, any number of lines with comma lists;
 * `listOrEmpty`, the same and also without any value.
 */
export type KeyForm = 'once' | 'lines' | 'list' | 'listOrEmpty';

export interface KeyRule<Draft> {
  readonly name: string;
  readonly form: KeyForm;
  /** Reads one value into the draft; returns the complaint when it is not one. */
  readonly take: (draft: Draft, text: string) => Complaint | null;
  /** What it holds, for the documentation. */
  readonly meaning: string;
}

export function rule<Draft, Value>(
  name: string,
  form: KeyForm,
  read: ValueReader<Value>,
  store: (draft: Draft, value: Value) => void,
  meaning: string,
): KeyRule<Draft> {
  const take = (draft: Draft, text: string): Complaint | null => {
    const reading = read(text);
    if (!reading.ok) return reading.complaint;
    store(draft, reading.value);
    return null;
  };
  return { name, form, take, meaning };
}

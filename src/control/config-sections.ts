/**
 * Second pass over a configuration file: entries in, drafts of its sections out. Each entry goes by the rules of the
 * catalog into the draft of the section it stands in; what fits no rule becomes a problem.
 */
import { CIPHER_DEFAULT } from '../protocol/cipher.ts';
import {
  INTERFACE_KEYS,
  INTERFACE_SETTINGS,
  type InterfaceDraft,
  PEER_KEYS,
  PEER_SETTINGS,
  type PeerDraft,
} from './config-keys.ts';
import type { ConfigEntry, Place } from './config-lines.ts';
import { type ConfigProblems, quoteValue } from './config-problems.ts';
import type { KeyRule } from './config-rule.ts';
import { emptyHistory } from './history-keys.ts';
import { nearest } from './nearest.ts';

/** A section under way: its rules bound to its draft, and where each key stood. */
export interface Section<Draft> {
  readonly place: Place;
  readonly draft: Draft;
  readonly keys: readonly KeyRule<Draft>[];
  readonly settings: readonly KeyRule<Draft>[];
  readonly seen: Map<string, Place>;
}

const LONGEST_KEY_SHOWN = 32;

/** Takes the entries of a file, in order; afterwards holds its sections. */
export class SectionReader {
  readonly peers: Section<PeerDraft>[] = [];
  interface: Section<InterfaceDraft> | null = null;
  readonly #problems: ConfigProblems;
  /** Takes the entries of the present section; null before the first, and in an unknown one (whose entries are skipped). */
  #take: ((entry: ConfigEntry) => void) | null;

  constructor(problems: ConfigProblems) {
    this.#problems = problems;
    this.#take = (entry) =>
      problems.add(entry.keyPlace, '[Interface] before the first key', entry.key, 'start the file with [Interface]');
  }

  take(entry: ConfigEntry): void {
    if (entry.kind === 'section') this.#open(entry);
    else this.#take?.(entry);
  }

  #open(entry: ConfigEntry): void {
    const name = entry.key.toLowerCase();
    if (name === 'interface') this.#openInterface(entry);
    else if (name === 'peer') this.#openPeer(entry);
    else {
      this.#problems.add(entry.keyPlace, '[Interface] or [Peer]', quoteValue(entry.key), 'there are no other sections');
      this.#take = null;
    }
  }

  #openInterface(entry: ConfigEntry): void {
    if (this.interface !== null) {
      const first = `a second one (the first is on line ${this.interface.place.line})`;
      this.#problems.add(entry.keyPlace, 'one [Interface]', first, 'merge the two');
    }
    const section = this.interface ?? newSection(entry, emptyInterface(), INTERFACE_KEYS, INTERFACE_SETTINGS);
    this.interface = section;
    this.#take = (next) => takeEntry(section, next, this.#problems);
  }

  #openPeer(entry: ConfigEntry): void {
    const section = newSection(entry, emptyPeer(), PEER_KEYS, PEER_SETTINGS);
    this.peers.push(section);
    this.#take = (next) => takeEntry(section, next, this.#problems);
  }
}

function newSection<Draft>(
  entry: ConfigEntry,
  draft: Draft,
  keys: readonly KeyRule<Draft>[],
  settings: readonly KeyRule<Draft>[],
): Section<Draft> {
  return { place: entry.keyPlace, draft, keys, settings, seen: new Map() };
}

function takeEntry<Draft>(section: Section<Draft>, entry: ConfigEntry, problems: ConfigProblems): void {
  const rules = entry.kind === 'gigatun' ? section.settings : section.keys;
  const rule = rules.find(({ name }) => name.toLowerCase() === entry.key.toLowerCase());
  if (rule === undefined) {
    complainOfKey(rules, entry, problems);
    return;
  }
  const before = section.seen.get(rule.name);
  if (rule.form === 'once' && before !== undefined) {
    problems.add(
      entry.keyPlace,
      `one ${rule.name}`,
      `a second one (the first is on line ${before.line})`,
      'remove one',
    );
    return;
  }
  section.seen.set(rule.name, before ?? entry.keyPlace);
  takeValues(section.draft, rule, entry, problems);
}

function complainOfKey<Draft>(rules: readonly KeyRule<Draft>[], entry: ConfigEntry, problems: ConfigProblems): void {
  const names = rules.map(({ name }) => name);
  const kind = entry.kind === 'gigatun' ? 'a setting' : 'a key';
  const known = names.length === 0 ? 'there are no settings in this section' : `known here: ${names.join(', ')}`;
  const meant = nearest(entry.key, names);
  const got = entry.key.length > LONGEST_KEY_SHOWN ? 'a long word' : quoteValue(entry.key);
  const hint = meant === null ? known : `did you mean ${meant}? ${known}`;
  problems.add(entry.keyPlace, `${kind} of this section`, got, hint);
}

function takeValues<Draft>(draft: Draft, rule: KeyRule<Draft>, entry: ConfigEntry, problems: ConfigProblems): void {
  if (entry.value === '' && rule.form === 'listOrEmpty') return;
  for (const { text, column } of partsOf(entry, rule)) {
    const place = { line: entry.valuePlace.line, column };
    const complaint =
      text === ''
        ? { expected: 'a value', got: 'nothing', hint: `${rule.name}: ${rule.meaning}` }
        : rule.take(draft, text);
    if (complaint !== null) problems.add(place, complaint.expected, complaint.got, complaint.hint);
  }
}

/** The values of an entry with the column of each: the parts of a comma list, or the whole. */
function partsOf<Draft>(entry: ConfigEntry, rule: KeyRule<Draft>): { text: string; column: number }[] {
  if (rule.form === 'once' || rule.form === 'lines') return [{ text: entry.value, column: entry.valuePlace.column }];
  let offset = 0;
  return entry.value.split(',').map((part) => {
    const indent = part.length - part.trimStart().length;
    const column = entry.valuePlace.column + offset + (part.trim() === '' ? 0 : indent);
    offset += part.length + 1;
    return { text: part.trim(), column };
  });
}

export function emptyInterface(): InterfaceDraft {
  return {
    privateKey: null,
    listenPort: 0,
    fwmark: 0,
    mtu: null,
    table: 'auto',
    saveConfig: false,
    lanes: null,
    memoryCapBytes: null,
    offloads: null,
    announces: null,
    txQueueLength: null,
    cipher: CIPHER_DEFAULT,
    addresses: [],
    dnsServers: [],
    dnsSearch: [],
    preUp: [],
    postUp: [],
    preDown: [],
    postDown: [],
  };
}

function emptyPeer(): PeerDraft {
  return {
    publicKey: null,
    presharedKey: null,
    endpoint: null,
    persistentKeepaliveSeconds: 0,
    offloads: 'auto',
    announces: true,
    cipher: null,
    history: emptyHistory(),
    allowedIps: [],
  };
}

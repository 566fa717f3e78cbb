/**
 * Reads a configuration file as wg-quick has it: text in, `TunnelConfig` out, or one error that names every problem with
 * line and column. First the text becomes entries, then each entry goes into the draft of its section by the rules of
 * the catalog, and last the drafts are checked against each other.
 */
import type { CipherChoice } from '../protocol/cipher.ts';
import { PEERS_MAX } from '../protocol/constants.ts';
import type { InterfaceDraft, PeerDraft } from './config-keys.ts';
import { MTU_MIN_IPV6 } from './config-limits.ts';
import { type Place, readEntries } from './config-lines.ts';
import { ConfigProblems } from './config-problems.ts';
import { emptyInterface, type Section, SectionReader } from './config-sections.ts';
import type { PeerFileConfig, TunnelConfig } from './config-types.ts';
import { finishHistory } from './history-keys.ts';
import { formatPrefix } from './ip-text.ts';
import { formatKey, publicKeyOf } from './key-text.ts';

export interface ParsedConfig {
  readonly config: TunnelConfig;
  /** Doubtful things, ready to print, each with file, line and column. */
  readonly warnings: readonly string[];
}

/**
 * Parses the text of a configuration file.
 *
 * @param file its name, for messages.
 * @throws GigatunError CONFIG with one line `FILE:LINE:COLUMN: expected …, got …; hint` for each problem of the file.
 */
export function parseConfig(text: string, file: string): ParsedConfig {
  const problems = new ConfigProblems(file);
  const reader = new SectionReader(problems);
  for (const entry of readEntries(text, problems)) reader.take(entry);
  const config = finish(reader, problems);
  problems.throwIfAny();
  return { config, warnings: problems.warnings };
}

const NO_KEY = new Uint8Array(32);

function finish(reader: SectionReader, problems: ConfigProblems): TunnelConfig {
  const section = reader.interface;
  if (section === null) {
    problems.add({ line: 1, column: 1 }, 'a section [Interface]', 'none', 'start the file with [Interface]');
  } else checkInterface(section, problems);
  const draft = section?.draft ?? emptyInterface();
  const { privateKey, listenPort, fwmark, mtu, table, saveConfig, cipher, ...others } = draft;
  const { lanes, memoryCapBytes, offloads, announces, txQueueLength, ...lists } = others;
  const { preUp, postUp, preDown, postDown, ...rest } = lists;
  return {
    privateKey: privateKey ?? NO_KEY,
    listenPort,
    fwmark,
    interface: { ...rest, mtu, table, saveConfig, hooks: { preUp, postUp, preDown, postDown } },
    settings: { lanes, memoryCapBytes, offloads, announces, txQueueLength },
    peers: finishPeers(reader.peers, { privateKey, cipher }, problems),
  };
}

function checkInterface(section: Section<InterfaceDraft>, problems: ConfigProblems): void {
  const { privateKey, addresses, mtu, saveConfig } = section.draft;
  if (privateKey === null && !section.seen.has('PrivateKey')) {
    problems.add(section.place, 'a PrivateKey in [Interface]', 'none', 'make one with: gigatun genkey');
  }
  const mtuPlace = section.seen.get('MTU');
  if (
    mtuPlace !== undefined &&
    mtu !== null &&
    mtu < MTU_MIN_IPV6 &&
    addresses.some(({ address }) => address.length === 16)
  ) {
    problems.add(mtuPlace, `an MTU of at least ${MTU_MIN_IPV6}`, `${mtu}`, 'the interface has an IPv6 address');
  }
  const savePlace = section.seen.get('SaveConfig');
  if (savePlace !== undefined && saveConfig) problems.warn(savePlace, 'SaveConfig is ignored: the file stays as it is');
}

function finishPeers(
  sections: readonly Section<PeerDraft>[],
  { privateKey, cipher }: Pick<InterfaceDraft, 'privateKey' | 'cipher'>,
  problems: ConfigProblems,
): PeerFileConfig[] {
  const ownKey = privateKey === null ? null : formatKey(publicKeyOf(privateKey));
  const placeOfKey = new Map<string, Place>();
  const peers = sections.flatMap((section) => {
    const peer = finishPeer(section, cipher, problems);
    if (peer === null) return [];
    const key = formatKey(peer.publicKey);
    const before = placeOfKey.get(key);
    if (before !== undefined) {
      const got = `the PublicKey of the [Peer] on line ${before.line} again`;
      problems.add(section.place, 'another PublicKey', got, 'merge the two sections');
    }
    placeOfKey.set(key, before ?? section.place);
    if (key !== ownKey) return [{ place: section.place, peer }];
    // One list of peers for all members of a network is common; WireGuard, too, takes no notice of oneself in it.
    problems.warn(section.place, "this peer has the interface's own key and is left out");
    return [];
  });
  checkCount(peers, problems);
  return withoutRepeatedPrefixes(peers, problems);
}

function checkCount(peers: readonly { readonly place: Place }[], problems: ConfigProblems): void {
  const first = peers[PEERS_MAX];
  if (first === undefined) return;
  problems.add(first.place, `at most ${PEERS_MAX} peers`, `${peers.length}`, 'share them out among several interfaces');
}

function finishPeer(
  section: Section<PeerDraft>,
  cipherDefault: CipherChoice,
  problems: ConfigProblems,
): PeerFileConfig | null {
  const { publicKey, cipher, history: draft, ...rest } = section.draft;
  const history = finishHistory(draft, section.seen, problems);
  const peer = { cipher: cipher ?? cipherDefault, ...rest, ...(history === null ? {} : { history }) };
  if (publicKey !== null) return { publicKey, ...peer };
  if (!section.seen.has('PublicKey')) {
    problems.add(section.place, 'a PublicKey in [Peer]', 'none', "it is the peer's: gigatun pubkey < its-private-key");
  }
  return null;
}

/** Leaves each prefix with the last peer that names it, as WireGuard does, and says so; within a peer, once. */
function withoutRepeatedPrefixes(
  peers: readonly { readonly place: Place; readonly peer: PeerFileConfig }[],
  problems: ConfigProblems,
): PeerFileConfig[] {
  const owner = new Map<string, Place>();
  const reversed = peers.toReversed().map(({ place, peer }) => {
    const allowedIps = peer.allowedIps.filter((prefix) => {
      const text = formatPrefix(prefix);
      const other = owner.get(text);
      owner.set(text, other ?? place);
      if (other !== undefined && other !== place) {
        problems.warn(place, `${text} goes to the later [Peer] on line ${other.line}, not to this one`);
      }
      return other === undefined;
    });
    return { ...peer, allowedIps };
  });
  return reversed.toReversed();
}

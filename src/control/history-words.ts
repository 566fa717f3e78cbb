/** Settings for sending more than once in words, as a reload tells what of them changes: each as a file would have it. */
import { type CopyFilter, type FecSettings, NO_HISTORY } from '../history/settings.ts';
import type { HistoryFileSettings, PathFileSettings } from './config-types.ts';

/** `NAME from -> to` for each setting that differs; null for a peer that has none. */
export function historyWords(before: HistoryFileSettings | null, after: HistoryFileSettings | null): string[] {
  const [from, to] = [textsOf(before ?? NONE), textsOf(after ?? NONE)];
  return Object.keys(from).flatMap((key) => {
    return from[key] === to[key] ? [] : [`${key} ${from[key] ?? ''} -> ${to[key] ?? ''}`];
  });
}

const NONE: HistoryFileSettings = { ...NO_HISTORY, paths: [] };

function textsOf(settings: HistoryFileSettings): Record<string, string> {
  const { copies, retransmitMs, retransmitBudget, inOrder, holdMs, fec, ringBytes, paths, pathMode } = settings;
  return {
    copies: `${copies.count}`,
    'copy delay': `${copies.delayMs}ms`,
    'copy only': filterText(copies.only),
    'copy when': copies.when,
    'copy budget': percent(copies.budget),
    retransmit: retransmitMs === 0 ? 'off' : `${retransmitMs}ms`,
    'retransmit budget': percent(retransmitBudget),
    'in order': inOrder,
    'hold time': holdMs === null ? 'auto' : `${holdMs}ms`,
    fec: fecText(fec),
    'fec delay': `${fec.delayMs}ms`,
    history: `${ringBytes / 1_048_576}MiB`,
    paths: paths.length === 0 ? '(none)' : paths.map(pathText).join(', '),
    'path mode': pathMode ?? '(default)',
  };
}

function filterText(only: CopyFilter | null): string {
  if (only === null) return 'all';
  const dscps = only.dscps.map((dscp) => `dscp:${dscp}`);
  return [...(only.small ? ['small'] : []), ...(only.handshake ? ['handshake'] : []), ...dscps].join(',');
}

function fecText({ mode, data, parity }: FecSettings): string {
  return mode === 'on' ? `${data}+${parity}` : mode;
}

function pathText({ name, localAddress, localInterface, endpoint, weight, isBackup }: PathFileSettings): string {
  const local = localAddress ?? localInterface;
  const host = endpoint?.host.includes(':') === true ? `[${endpoint.host}]` : endpoint?.host;
  return [
    name,
    ...(local === null ? [] : [`local=${local}`]),
    ...(endpoint === null ? [] : [`endpoint=${host}:${endpoint.port}`]),
    ...(weight === 1 ? [] : [`weight=${weight}`]),
    ...(isBackup ? ['backup'] : []),
  ].join(' ');
}

function percent(share: number): string {
  return `${Math.round(share * 100)}%`;
}

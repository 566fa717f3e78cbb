/** The difference of two links in words, and the moves of what no plan holds: the TUN queue's length. Pure. */
import type { Hooks, InterfaceConfig } from './config-types.ts';
import type { DifferenceLine } from './difference.ts';
import type { LinkMove, PlannedLink } from './link-difference.ts';
import type { Action, LinkPart } from './link-plan.ts';

/** What the kernel gives a TUN queue, packets (TUN_READQ_SIZE in its drivers/net/tun.c). */
const QUEUE_LENGTH_DEFAULT = 500;

/** Addresses, MTU, name servers, and every route, in words. */
export function linkLines(old: PlannedLink, wanted: PlannedLink): DifferenceLine[] {
  const [before, after] = [partWords(old.parts), partWords(wanted.parts)];
  return [
    ...changed('mtu', `${old.request.mtu}`, `${wanted.request.mtu}`),
    ...changed('table', `${old.request.interface.table}`, `${wanted.request.interface.table}`),
    ...changed('dns', dnsText(old.request.interface), dnsText(wanted.request.interface)),
    ...without(before, after).map((text) => ({ sign: '-', text }) as const),
    ...without(after, before).map((text) => ({ sign: '+', text }) as const),
  ];
}

/** Hooks of the way down that are to run instead of others. */
export function hookLines(old: Hooks, wanted: Hooks): DifferenceLine[] {
  const pairs = [
    ['PreDown', old.preDown, wanted.preDown],
    ['PostDown', old.postDown, wanted.postDown],
  ] as const;
  return pairs.flatMap(([key, before, after]) =>
    isSame(before, after) ? [] : [{ sign: '~', text: `${key} commands ${before.length} -> ${after.length}` } as const],
  );
}

/** Hooks that differ and will not be run, or not as a start would have it. */
export function hookWarnings(old: Hooks, wanted: Hooks): string[] {
  const pairs = [
    ['PreUp', old.preUp, wanted.preUp],
    ['PostUp', old.postUp, wanted.postUp],
  ] as const;
  const unprepared =
    old.preDown.length + old.postDown.length === 0 && wanted.preDown.length + wanted.postDown.length > 0;
  return [
    ...pairs.flatMap(([key, before, after]) =>
      isSame(before, after) ? [] : [`the ${key} commands are others now; a reload does not run them`],
    ),
    // A start without such commands has given up what they may need.
    ...(unprepared
      ? ['PreDown and PostDown commands will run with the privileges that the running process has kept']
      : []),
  ];
}

/** @param old packets; null for the kernel's own. */
export function queueLines(old: number | null, wanted: number | null): DifferenceLine[] {
  return changed('TxQueueLength', `${old ?? 'auto'}`, `${wanted ?? 'auto'}`);
}

export function queueMoves(name: string, old: number | null, wanted: number | null): LinkMove[] {
  if (old === wanted) return [];
  const action = (length: number | null): Action => ({
    kind: 'run',
    command: {
      program: 'ip',
      args: ['link', 'set', 'dev', name, 'txqueuelen', `${length ?? QUEUE_LENGTH_DEFAULT}`],
    },
  });
  const rest = { journals: null, settles: null, optional: false, removes: false };
  return [{ action: action(wanted), revert: action(old), ...rest }];
}

/** Each part of a plan that a person has a word for; rules come and go with the default route. */
function partWords(parts: readonly LinkPart[]): string[] {
  return parts.flatMap(({ key, routes }) => {
    if (routes !== null) return routes.map((route) => `route ${route.replace(/ dev \S+/, '')}`);
    const [, family, table] = /^default route -(\d) (\d+)/.exec(key) ?? [];
    if (table !== undefined) return [`IPv${family} default route, with table, mark and rules ${table}`];
    return key.startsWith('address ') ? [key] : [];
  });
}

function dnsText({ dnsServers, dnsSearch }: InterfaceConfig): string {
  return [...dnsServers, ...dnsSearch].join(', ') || 'none';
}

function changed(name: string, from: string, to: string): DifferenceLine[] {
  return from === to ? [] : [{ sign: '~', text: `${name} ${from} -> ${to}` }];
}

function without(words: readonly string[], others: readonly string[]): string[] {
  const set = new Set(others);
  return words.filter((word) => !set.has(word));
}

function isSame(left: readonly string[], right: readonly string[]): boolean {
  return JSON.stringify(left) === JSON.stringify(right);
}

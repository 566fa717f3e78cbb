/**
 * From one link plan to another while the interface stays: moves, each with what takes it back. Pure. What comes is added
 * before what goes is removed, so that whatever both plans have is never without its route, and addresses go last of all.
 *
 * Two habits of the kernel need more than that. Rules that are added stand before those that are there, so the rule that
 * belongs in front is taken away and added again when the one behind it is new. And an IPv4 address that goes takes with
 * it the others of its network, and with the last of them all IPv4 routes: so they are set again, on the way and back.
 */
import type { Command } from './command.ts';
import type { IpPrefix } from './config-types.ts';
import { coversPrefix, formatPrefix } from './ip-text.ts';
import { type Action, type Family, type LinkFacts, type LinkPart, type LinkRequest, routeBatch } from './link-plan.ts';

export interface LinkMove {
  /** Null where there is only something to restore. */
  readonly action: Action | null;
  /** Restores what was before; null where nothing need. Of a batch: line by line what the action's lines did. */
  readonly revert: Action | null;
  /** What the journal must hold from before the action on. */
  readonly journals: Action | null;
  /** What the journal need not hold any more behind the action. */
  readonly settles: Action | null;
  /** Its failure is a warning, not the end. */
  readonly optional: boolean;
  /** What is gone already is fine. */
  readonly removes: boolean;
}

/** A link's plan, and what it was made of. */
export interface PlannedLink {
  readonly request: LinkRequest;
  readonly facts: LinkFacts;
  readonly parts: readonly LinkPart[];
}

/** Moves from a plan that was carried out to another. */
export function linkMoves(old: PlannedLink, wanted: PlannedLink): LinkMove[] {
  const olds = new Map(old.parts.map((part) => [part.key, part]));
  const news = new Map(wanted.parts.map((part) => [part.key, part]));
  const leaving = [...olds.values()].filter(({ key }) => !news.has(key)).reverse();
  const coming: LinkMove[] = [];
  for (const part of news.values()) {
    const before = olds.get(part.key);
    const twin = before === undefined ? leaving.findIndex((other) => isSameAction(other, part)) : -1;
    if (twin !== -1) coming.push(...leaving.splice(twin, 1).flatMap(removeMoves));
    coming.push(...partMoves(before ?? null, part));
  }
  const goingRoutes = wanted.parts.flatMap((part) => routeRemovals(olds.get(part.key) ?? null, part));
  const [addresses, others] = split(leaving, ({ key }) => key.startsWith('address '));
  return [
    ...anchoringMoves(old, wanted),
    ...coming,
    ...goingRoutes,
    ...others.flatMap(removeMoves),
    ...addresses.flatMap(removeMoves),
    ...settlingMoves(old.request, wanted),
  ];
}

function partMoves(before: LinkPart | null, part: LinkPart): LinkMove[] {
  if (part.routes !== null) return routeAdditions(before, part);
  if (before === null) {
    return [move(part.action, { revert: part.takeBack, journals: part.undo, optional: part.optional })];
  }
  if (isSameAction(before, part)) return [];
  if (part.renew === null) return [...removeMoves(before), ...partMoves(null, part)];
  return [move(part.renew, { revert: before.renew })];
}

function removeMoves(part: LinkPart): LinkMove[] {
  if (part.routes !== null) return routeBatches(part, part.routes, 'delete');
  if (part.takeBack === null) return [];
  const revert = part.renew ?? part.action;
  return [move(part.takeBack, { revert, settles: part.undo, removes: true })];
}

function routeAdditions(before: LinkPart | null, part: LinkPart): LinkMove[] {
  return routeBatches(part, without(part.routes, before?.routes ?? null), 'add');
}

function routeRemovals(before: LinkPart | null, part: LinkPart): LinkMove[] {
  return before === null ? [] : routeBatches(part, without(before.routes, part.routes), 'delete');
}

function routeBatches(part: LinkPart, routes: readonly string[], verb: 'add' | 'delete'): LinkMove[] {
  if (routes.length === 0) return [];
  const batch = (which: 'add' | 'replace' | 'delete'): Action => runs(routeBatch(which, familyOfKey(part.key), routes));
  return [move(batch(verb), { revert: batch(verb === 'add' ? 'delete' : 'replace'), removes: verb === 'delete' })];
}

function without(routes: readonly string[] | null, others: readonly string[] | null): string[] {
  const set = new Set(others);
  return (routes ?? []).filter((route) => !set.has(route));
}

/** Done by nobody, and taken back last: what addresses that come and go again may have taken with them. */
function anchoringMoves(old: PlannedLink, wanted: PlannedLink): LinkMove[] {
  const [before, after] = [old, wanted].map(({ request }) => ipv4Addresses(request).map(formatPrefix).sort().join());
  if (before === after) return [];
  const addresses = ipv4Addresses(old.request).map((each) => replacedAddress(old.request.name, each));
  // Taken back in reverse: routes need an address.
  return [...old.parts.flatMap(replacedRoutes), ...addresses].map((revert) => move(null, { revert }));
}

/** Only where an IPv4 address goes that may have taken something with it. */
function settlingMoves(old: LinkRequest, wanted: PlannedLink): LinkMove[] {
  const left = ipv4Addresses(wanted.request);
  const texts = new Set(left.map(formatPrefix));
  const gone = ipv4Addresses(old).filter((each) => !texts.has(formatPrefix(each)));
  if (gone.length === 0) return [];
  const isAlone = (each: IpPrefix): boolean => !gone.some((other) => isOneNetwork(each, other));
  const { name } = wanted.request;
  const addresses = left.filter((each) => !isAlone(each)).map((each) => replacedAddress(name, each));
  const routes = left.some(isAlone) ? [] : wanted.parts.flatMap(replacedRoutes);
  return [...addresses, ...routes].map((action) => move(action, {}));
}

function replacedRoutes(part: LinkPart): Action[] {
  if (familyOfKey(part.key) !== 4) return [];
  if (part.routes !== null) return [runs(routeBatch('replace', 4, part.routes))];
  if (!part.key.startsWith('default route') || part.action.kind !== 'run') return [];
  const { program, args } = part.action.command;
  return [runs({ program, args: args.map((word) => (word === 'add' ? 'replace' : word)) })];
}

function ipv4Addresses({ interface: { addresses } }: LinkRequest): IpPrefix[] {
  return addresses.filter(({ address }) => address.length === 4);
}

function replacedAddress(name: string, address: IpPrefix): Action {
  return runs({ program: 'ip', args: ['-4', 'address', 'replace', formatPrefix(address), 'dev', name] });
}

function isOneNetwork(left: IpPrefix, right: IpPrefix): boolean {
  return left.length === right.length && coversPrefix(left, right);
}

function familyOfKey(key: string): Family {
  return key.includes(' -6') ? 6 : 4;
}

function isSameAction(left: LinkPart, right: LinkPart): boolean {
  return left.routes === null && JSON.stringify(left.action) === JSON.stringify(right.action);
}

function move(action: Action | null, part: Partial<LinkMove>): LinkMove {
  return { action, revert: null, journals: null, settles: null, optional: false, removes: false, ...part };
}

function runs(command: Command): Action {
  return { kind: 'run', command };
}

function split<T>(values: readonly T[], test: (value: T) => boolean): [T[], T[]] {
  return [values.filter(test), values.filter((value) => !test(value))];
}

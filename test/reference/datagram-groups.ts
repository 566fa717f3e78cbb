/** Slow twin of the grouping in src/outbound/send.ts: which datagrams leave together as one GSO send. */

export interface Datagram {
  readonly peer: number;
  readonly length: number;
  /** Outer traffic class. */
  readonly trafficClass: number;
}

/** Longest group: with all its headers below 65,536 bytes. */
const GROUP_BYTES_MAX = 65_408;

/** Consecutive datagrams in groups: one peer and class, equal lengths but for a shorter last one, and no limit passed. */
export function groupDatagrams(datagrams: readonly Datagram[], datagramsMax: number): Datagram[][] {
  const groups: Datagram[][] = [];
  for (const datagram of datagrams) {
    const open = groups.at(-1);
    if (open !== undefined && mayJoin(open, datagram, datagramsMax)) open.push(datagram);
    else groups.push([datagram]);
  }
  return groups;
}

function mayJoin(group: readonly Datagram[], datagram: Datagram, datagramsMax: number): boolean {
  const [first] = group;
  const bytes = group.reduce((sum, { length }) => sum + length, 0);
  const allEqual = group.every(({ length }) => length === first.length);
  return (
    allEqual &&
    datagram.peer === first.peer &&
    datagram.trafficClass === first.trafficClass &&
    datagram.length <= first.length &&
    group.length < datagramsMax &&
    bytes + datagram.length <= GROUP_BYTES_MAX
  );
}

/**
 * Readers of the texts of /proc and /sys: a text comes in, as the kernel or a container's fake of it wrote it, a value goes
 * out; what is missing or makes no sense is null or left out, never an exception. Formats: proc(5), cgroups(7).
 */

/** Most cores and sockets that a list may make; beyond, the text is not believed. */
const CORES_MAX = 8_192;

/** A list such as '0-3,8,10-11': how many numbers it names; null when it is no list. */
export function countInList(text: string): number | null {
  let count = 0;
  for (const part of text.trim().split(',')) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part);
    if (match === null) return null;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first) return null;
    count += last - first + 1;
  }
  return count > CORES_MAX ? null : count;
}

/** The value behind 'Name:' in /proc/PID/status and /proc/meminfo. */
export function fieldOf(text: string, name: string): string | null {
  const line = text.split('\n').find((candidate) => candidate.startsWith(`${name}:`));
  return line === undefined ? null : line.slice(name.length + 1).trim();
}

/** A field in kB, in bytes. */
export function kilobytesOf(text: string, name: string): number | null {
  const match = /^(\d{1,15}) kB$/.exec(fieldOf(text, name) ?? '');
  return match === null ? null : Number(match[1]) * 1_024;
}

/** Model and features of the first processor in /proc/cpuinfo: x86 says 'model name' and 'flags', arm64 'Features'. */
export function parseCpuInfo(text: string): { readonly model: string | null; readonly flags: ReadonlySet<string> } {
  const value = (name: string): string | null => {
    const match = new RegExp(`^${name}[ \\t]*:[ \\t]*(.*)$`, 'm').exec(text);
    return match?.[1]?.trim() || null;
  };
  const flags = (value('flags') ?? value('Features') ?? '').split(/\s+/).filter((flag) => flag !== '');
  return { model: value('model name') ?? value('Hardware') ?? value('CPU implementer'), flags: new Set(flags) };
}

/** Ticks of all cores together since the start. */
export interface Ticks {
  readonly all: number;
  readonly idle: number;
  readonly steal: number;
}

/** First line of /proc/stat: user nice system idle iowait irq softirq steal. */
export function parseStat(text: string): Ticks | null {
  const fields = (/^cpu +([\d ]+)$/m.exec(text)?.[1] ?? '').split(' ').slice(0, 8).map(Number);
  const [, , , idle, iowait, , , steal] = fields;
  if (idle === undefined || iowait === undefined || steal === undefined) return null;
  return { all: fields.reduce((sum, ticks) => sum + ticks, 0), idle: idle + iowait, steal };
}

/** Shares of the time between two readings; null where no time passed, or it went back. */
export function sharesOf(
  before: Ticks | null,
  after: Ticks | null,
): { readonly busy: number; readonly steal: number } | null {
  if (before === null || after === null || after.all <= before.all) return null;
  const all = after.all - before.all;
  const share = (ticks: number): number => Math.min(1, Math.max(0, ticks / all));
  return { busy: share(all - (after.idle - before.idle)), steal: share(after.steal - before.steal) };
}

/** Soft limit of open files in /proc/PID/limits; null for unlimited or unknown. */
export function parseOpenFilesMax(text: string): number | null {
  const match = /^Max open files +(\d{1,15}) /m.exec(text);
  return match === null ? null : Number(match[1]);
}

/** A socket of /proc/net/udp or udp6. */
export interface UdpSocket {
  readonly port: number;
  readonly inode: number;
  /** Datagrams that found the receive buffer full, since it was opened. */
  readonly drops: number;
}

/** Lines of /proc/net/udp: `sl local rem st queues timer retrnsmt uid timeout inode ref pointer drops`, the port in hex. */
export function parseUdpSockets(text: string): UdpSocket[] {
  return text.split('\n').flatMap((line): UdpSocket[] => {
    const fields = line.trim().split(/\s+/);
    const port = /^[0-9A-F]{8,32}:([0-9A-F]{4})$/.exec(fields[1] ?? '')?.[1];
    const [inode = '', drops = ''] = [fields[9], fields[12]];
    if (port === undefined || !/^\d{1,12}$/.test(inode) || !/^\d{1,15}$/.test(drops)) return [];
    return [{ port: Number.parseInt(port, 16), inode: Number(inode), drops: Number(drops) }];
  });
}

/** Packets that the interface's queue dropped because the tunnel did not read them: 'drop' of Transmit in /proc/net/dev. */
export function parseTransmitDrops(text: string, name: string): number | null {
  const line = text.split('\n').find((candidate) => candidate.trimStart().startsWith(`${name}:`));
  const drops = line
    ?.slice(line.indexOf(':') + 1)
    .trim()
    .split(/\s+/)[11];
  return drops !== undefined && /^\d{1,20}$/.test(drops) ? Number(drops) : null;
}

/** ID and the words of ID_LIKE in os-release, the most exact first. */
export function parseSystemIds(text: string): string[] {
  return ['ID', 'ID_LIKE'].flatMap((key) => {
    const value = new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1] ?? '';
    return value
      .replaceAll(/["']/g, '')
      .split(/\s+/)
      .filter((word) => /^[a-z0-9._-]+$/.test(word));
  });
}

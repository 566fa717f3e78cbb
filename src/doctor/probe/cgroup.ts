/**
 * What control groups allow a process: CPU time and memory. A process is in one group of each hierarchy, and every group on
 * the way up may set a limit: the tightest counts. Version 2 has `cpu.max` and `memory.max`, version 1 `cpu.cfs_quota_us`
 * and `memory.limit_in_bytes` (cgroups(7), cgroup-v2.rst). In a container the path may begin outside of what is mounted;
 * then what can be seen from the mount's root on is read.
 */
import { type Host, readNumber } from './host.ts';

export interface CgroupFacts {
  /** Cores' worth of CPU time; null for no quota. */
  readonly quotaCores: number | null;
  readonly throttledCount: number | null;
  readonly memoryLimitBytes: number | null;
  readonly memoryUsedBytes: number | null;
}

/** @param pid a process, or 'self'. */
export function readCgroup(host: Host, pid: number | 'self'): CgroupFacts {
  const mounts = parseMounts(host.read('/proc/self/mountinfo') ?? '');
  const groups = parseGroups(host.read(`/proc/${pid}/cgroup`) ?? '');
  const cpus = foldersOf(mounts, groups, 'cpu').flatMap((folder) => cpuOf(host, folder));
  const memories = foldersOf(mounts, groups, 'memory').flatMap((folder) => memoryOf(host, folder));
  const cpu = tightest(cpus, ({ quotaCores }) => quotaCores);
  const memory = tightest(memories, ({ limitBytes }) => limitBytes);
  return {
    quotaCores: cpu?.quotaCores ?? null,
    throttledCount: cpu?.throttledCount ?? null,
    memoryLimitBytes: memory?.limitBytes ?? null,
    memoryUsedBytes: memory?.usedBytes ?? null,
  };
}

interface Mount {
  /** Directory of the hierarchy that is mounted, mostly '/'. */
  readonly root: string;
  readonly point: string;
  /** Controllers of version 1; null for version 2. */
  readonly controllers: readonly string[] | null;
}

/** Lines of mountinfo: `id parent dev root point options… - type source superoptions`. */
export function parseMounts(text: string): Mount[] {
  return text.split('\n').flatMap((line): Mount[] => {
    const [left = '', right = ''] = line.split(' - ');
    const [, , , root, point] = left.split(' ');
    const [type, , options = ''] = right.split(' ');
    if (root === undefined || point === undefined) return [];
    if (type === 'cgroup2') return [{ root, point, controllers: null }];
    return type === 'cgroup' ? [{ root, point, controllers: options.split(',') }] : [];
  });
}

interface GroupOf {
  /** Controllers of version 1; null for version 2. */
  readonly controllers: readonly string[] | null;
  readonly path: string;
}

/** Lines of /proc/PID/cgroup: `id:controllers:path`, with no controllers for version 2. */
export function parseGroups(text: string): GroupOf[] {
  return text.split('\n').flatMap((line): GroupOf[] => {
    const match = /^\d+:([^:]*):(\/.*)$/.exec(line);
    if (match === null) return [];
    const [, controllers = '', path = '/'] = match;
    return [{ controllers: controllers === '' ? null : controllers.split(','), path }];
  });
}

/** Folders of a process's group and of all above it that are mounted, in each hierarchy that may have the controller. */
function foldersOf(mounts: readonly Mount[], groups: readonly GroupOf[], controller: string): string[] {
  const holds = (controllers: readonly string[] | null): boolean =>
    controllers === null || controllers.includes(controller);
  return groups
    .filter((group) => holds(group.controllers))
    .flatMap(({ controllers, path }) => {
      const versions = mounts.filter((mount) => (mount.controllers === null) === (controllers === null));
      const mount = versions.find((candidate) => holds(candidate.controllers));
      return mount === undefined ? [] : upwards(mount, path);
    });
}

function upwards({ root, point }: Mount, path: string): string[] {
  const inside = root !== '/' && (path === root || path.startsWith(`${root}/`)) ? path.slice(root.length) : path;
  // '/..' stands for what lies above the namespace's own root.
  const parts = inside.split('/').filter((part) => part !== '' && part !== '..');
  return [...parts.keys(), parts.length].map((count) => [point, ...parts.slice(0, count)].join('/'));
}

interface CpuLimit {
  readonly quotaCores: number;
  readonly throttledCount: number | null;
}

function cpuOf(host: Host, folder: string): CpuLimit[] {
  const quotaCores = parseCpuMax(host.read(`${folder}/cpu.max`) ?? '') ?? quotaOf(host, folder);
  if (quotaCores === null) return [];
  const throttled = /^nr_throttled (\d{1,15})$/m.exec(host.read(`${folder}/cpu.stat`) ?? '')?.[1];
  return [{ quotaCores, throttledCount: throttled === undefined ? null : Number(throttled) }];
}

/** '50000 100000' -> 0.5 cores; 'max 100000' and anything else -> null. */
export function parseCpuMax(text: string): number | null {
  const match = /^(\d{1,15}) (\d{1,15})$/.exec(text.trim());
  const [quota, period] = [Number(match?.[1]), Number(match?.[2])];
  return quota > 0 && period > 0 ? quota / period : null;
}

/** Version 1; a quota of -1 is none. */
function quotaOf(host: Host, folder: string): number | null {
  const quota = readNumber(host, `${folder}/cpu.cfs_quota_us`);
  const period = readNumber(host, `${folder}/cpu.cfs_period_us`);
  return quota !== null && quota > 0 && period !== null && period > 0 ? quota / period : null;
}

interface MemoryLimit {
  readonly limitBytes: number;
  readonly usedBytes: number | null;
}

/** Version 1 says 'no limit' by a number near 2^63. */
const NO_LIMIT_BYTES = 2 ** 60;

function memoryOf(host: Host, folder: string): MemoryLimit[] {
  const limitBytes =
    readNumber(host, `${folder}/memory.max`) ?? readNumber(host, `${folder}/memory.limit_in_bytes`) ?? NO_LIMIT_BYTES;
  if (limitBytes >= NO_LIMIT_BYTES) return [];
  const used = readNumber(host, `${folder}/memory.current`) ?? readNumber(host, `${folder}/memory.usage_in_bytes`);
  const cache = /^(?:inactive_file|total_inactive_file) (\d{1,18})$/m.exec(host.read(`${folder}/memory.stat`) ?? '');
  // What the kernel can drop at once is not in the way.
  return [{ limitBytes, usedBytes: used === null ? null : Math.max(0, used - Number(cache?.[1] ?? 0)) }];
}

function tightest<Limit>(limits: readonly Limit[], of: (limit: Limit) => number): Limit | undefined {
  return limits.toSorted((left, right) => of(left) - of(right))[0];
}

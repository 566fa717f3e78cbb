/** Limits of control groups: both versions, nested, in containers, without any, and with files that make no sense. */
import { describe, expect, it } from 'vitest';
import { parseCpuMax, readCgroup } from '../../../src/doctor/probe/cgroup.ts';
import { hostWith } from '../support/patients.ts';

const MOUNT2 = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n';
const MOUNTS1 = [
  '31 23 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n',
  '32 23 0:28 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n',
].join('');
const NONE = { quotaCores: null, throttledCount: null, memoryLimitBytes: null, memoryUsedBytes: null };

describe('version 2', () => {
  const group = { '/proc/self/mountinfo': MOUNT2, '/proc/self/cgroup': '0::/a.slice/b.service\n' };

  it('takes the tightest limit on the way up, with the count of its own stops', () => {
    const host = hostWith({
      ...group,
      '/sys/fs/cgroup/a.slice/cpu.max': '50000 100000\n',
      '/sys/fs/cgroup/a.slice/cpu.stat': 'nr_periods 9\nnr_throttled 7\n',
      '/sys/fs/cgroup/a.slice/b.service/cpu.max': '150000 100000\n',
      '/sys/fs/cgroup/a.slice/b.service/memory.max': '200000000\n',
      '/sys/fs/cgroup/a.slice/b.service/memory.current': '90000000\n',
      '/sys/fs/cgroup/a.slice/b.service/memory.stat': 'anon 1\ninactive_file 40000000\n',
      '/sys/fs/cgroup/a.slice/memory.max': 'max\n',
    });
    const expected = { quotaCores: 0.5, throttledCount: 7, memoryLimitBytes: 200e6, memoryUsedBytes: 50e6 };
    expect(readCgroup(host, 'self')).toEqual(expected);
  });

  it('in a container sees the limits of its own root, though its path begins above', () => {
    const host = hostWith({
      '/proc/self/mountinfo': MOUNT2,
      '/proc/77/cgroup': '0::/../../docker/abc\n',
      '/sys/fs/cgroup/cpu.max': '200000 100000\n',
    });
    expect(readCgroup(host, 77)).toEqual({ ...NONE, quotaCores: 2 });
  });
});

describe('version 1', () => {
  it('has each controller in a hierarchy of its own, and -1 for none', () => {
    const host = hostWith({
      '/proc/self/mountinfo': MOUNTS1,
      '/proc/self/cgroup': '4:memory:/m/x\n3:cpu,cpuacct:/c\n1:name=systemd:/\n0::/\n',
      '/sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_quota_us': '25000\n',
      '/sys/fs/cgroup/cpu,cpuacct/c/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
      '/sys/fs/cgroup/memory/m/memory.limit_in_bytes': '134217728\n',
      '/sys/fs/cgroup/memory/m/memory.usage_in_bytes': '1000\n',
    });
    const expected = { quotaCores: 0.25, throttledCount: null, memoryLimitBytes: 134_217_728, memoryUsedBytes: 1_000 };
    expect(readCgroup(host, 'self')).toEqual(expected);
  });

  it('mounted from a subdirectory is read below its own point', () => {
    const host = hostWith({
      '/proc/self/mountinfo': '31 23 0:27 /docker/abc /cg ro - cgroup cgroup rw,cpu\n',
      '/proc/self/cgroup': '3:cpu:/docker/abc/inner\n',
      '/cg/inner/cpu.cfs_quota_us': '50000',
      '/cg/inner/cpu.cfs_period_us': '100000',
    });
    expect(readCgroup(host, 'self').quotaCores).toBe(0.5);
  });
});

it.each([
  {},
  { '/proc/self/mountinfo': '', '/proc/self/cgroup': '' },
  { '/proc/self/mountinfo': `x\n - \n${MOUNT2}`, '/proc/self/cgroup': '0:\nrubbish\n0::relative\n' },
  { '/proc/self/mountinfo': MOUNT2, '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': 'max' },
])('nothing that can be read is no limit: %j', (files) => {
  expect(readCgroup(hostWith(files as Record<string, string>), 'self')).toEqual(NONE);
});

it.each([
  ['50000 100000', 0.5],
  ['max 100000', null],
  ['0 100000', null],
  ['1 0', null],
  ['-5 100000', null],
  ['50000', null],
  ['', null],
])('cpu.max %j allows %s cores', (text, cores) => expect(parseCpuMax(text)).toBe(cores));

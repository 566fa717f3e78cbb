/** The facts about a machine that stand beside figures. */
import { describe, expect, it } from 'vitest';
import {
  busyShare,
  busyWarning,
  examineMachine,
  type Machine,
  machineKind,
  parseTicks,
} from '../../src/lab/machine.ts';

const MACHINE: Machine = {
  cpu: 'AMD EPYC',
  cores: 2,
  memoryBytes: 1,
  kernel: '6.1',
  node: 'v20',
  loadAverages: [0, 0, 0],
  busyShare: 0,
};

it.each([
  ['AMD EPYC', 2, 'amd-epyc-2c'],
  ['Intel(R) Xeon(R) CPU E5-2670 0 @ 2.60GHz', 16, 'intel-xeon-e5-2670-16c'],
  ['AMD Ryzen 9 7950X 16-Core Processor', 32, 'amd-ryzen-9-32c'],
  ['', 4, 'unknown-4c'],
  ['../../etc', 1, 'etc-1c'],
])('a machine of %j with %i cores is called %s', (cpu, cores, kind) => {
  expect(machineKind({ ...MACHINE, cpu, cores })).toBe(kind);
});

describe('business', () => {
  it('is what is neither idle nor waiting for a disk, stolen time included', () => {
    const before = parseTicks('cpu  100 0 50 800 50 0 0 0 0 0\ncpu0 1 2 3\n');
    const after = parseTicks('cpu  120 0 60 830 60 5 5 20 9 9\ncpu0 1 2 3\n');
    expect(busyShare(before, after)).toBeCloseTo((20 + 10 + 5 + 5 + 20) / (20 + 10 + 30 + 10 + 5 + 5 + 20));
  });
  it('of no time at all is none', () => {
    const now = parseTicks('cpu  1 2 3 4 5 6 7 8\n');
    expect(busyShare(now, now)).toBe(0);
  });
  it('is worth a warning from a tenth on', () => {
    expect(busyWarning({ ...MACHINE, busyShare: 0.1 })).toBeNull();
    expect(busyWarning({ ...MACHINE, busyShare: 0.52 })).toContain('52 % busy');
  });
});

it('this machine has a processor, cores and a kernel', async () => {
  const machine = await examineMachine();
  expect(machine.cores).toBeGreaterThan(0);
  expect(machine.busyShare).toBeGreaterThanOrEqual(0);
  expect(machine.busyShare).toBeLessThanOrEqual(1);
  expect(machine.kernel).toMatch(/^\d+\.\d+/);
});

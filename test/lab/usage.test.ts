/** CPU time and memory of processes, as /proc tells them. */
import { spawn } from 'node:child_process';
import { afterEach, describe, expect, it } from 'vitest';
import { parseStat, parseStatus, usageOf, usageOfAll } from '../../src/lab/usage.ts';

describe('/proc/PID/stat', () => {
  const fields = 'S 1 2 3 4 -1 4194560 100 0 0 0 1234 567 0 0 20 0 11 0 1 2 3';
  it.each(['node', 'a b', 'x) R 1 (y'])('gives user and system time of a program called %j', (name) => {
    expect(parseStat(`42 (${name}) ${fields}`)).toEqual({ userSeconds: 12.34, systemSeconds: 5.67 });
  });
});

it('/proc/PID/status gives resident memory in bytes', () => {
  const text = 'Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n';
  expect(parseStatus(text)).toEqual({ residentBytes: 1_048_576, residentBytesMax: 2_097_152 });
});

describe('usage of a process', () => {
  const child = spawn(
    process.execPath,
    ['-e', 'const t=Date.now()+300;while(Date.now()<t);console.log(1);setTimeout(()=>{},1e5)'],
    {
      stdio: ['ignore', 'pipe', 'ignore'],
    },
  );
  afterEach(() => void child.kill('SIGKILL'));

  it('counts the time that it computes, and adds over processes', async () => {
    await new Promise((resolve) => child.stdout.once('data', resolve));
    const pid = child.pid ?? 0;
    const usage = usageOf(pid);
    expect(usage.cpuSeconds).toBeGreaterThan(0.05);
    expect(usage.cpuSeconds).toBeLessThan(5);
    expect(usage.residentBytes).toBeGreaterThan(10e6);
    expect(usage.residentBytesMax).toBeGreaterThanOrEqual(usage.residentBytes);
    expect(usageOfAll([pid, pid]).cpuSeconds).toBeGreaterThanOrEqual(usage.cpuSeconds * 2);
  });
});

it('a process that does not exist is an error', () => {
  expect(() => usageOf(2 ** 22 + 1)).toThrowError(/ENOENT/);
});

/** The diagnosis as text and as JSON: groups in order, columns that line up, nothing lost at any width. */
import { describe, expect, it } from 'vitest';
import { exitCodeOfDiagnosis } from '../../src/cli/doctor.ts';
import { worstOf } from '../../src/doctor/check.ts';
import type { Diagnosis } from '../../src/doctor/doctor.ts';
import { judgeMachine, judgeTunnel } from '../../src/doctor/judge.ts';
import { findLimit } from '../../src/doctor/limit.ts';
import { diagnosisJson, formatDiagnosis } from '../../src/doctor/report.ts';
import { busyBooks, machineWith, tunnelWith } from './support/patients.ts';

function diagnose(parts: Parameters<typeof machineWith>[0]): Diagnosis {
  const machine = machineWith(parts);
  const tunnel = tunnelWith({ recent: busyBooks() });
  const checks = [...judgeMachine(machine), ...judgeTunnel(tunnel, machine)];
  return { takenAtMs: 1, status: worstOf(checks), checks, limit: findLimit(machine, [tunnel], checks) };
}

const diagnosis = diagnose({ cpu: { stealShare: 0.2 } });

describe('the text', () => {
  it.each([72, 100, 120, 200])('fits %i columns and holds every word', (width) => {
    const text = formatDiagnosis(diagnosis, width);
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(width);
    const words = (part: string): string => part.replaceAll(/\s+/g, ' ');
    for (const { title, value, reason, advice } of diagnosis.checks)
      for (const part of [title, value, reason, advice ?? '']) expect(words(text)).toContain(words(part));
  });

  it('groups what belongs together, tunnels behind the machine, the limit at the end', () => {
    const lines = formatDiagnosis(diagnosis, 120).split('\n');
    const headings = lines.filter((line) => /^\S+( gt0)?$/.test(line));
    expect(headings).toEqual(['system', 'TUN', 'UDP', 'CPU', 'AEAD', 'clock', 'network', 'tunnel gt0']);
    const end = lines.findIndex((line) => line.startsWith('A tunnel runs here, below its best: 1 warn'));
    expect(lines[end + 1]).toMatch(/^Limits throughput most \(gt0\): a full lane, and in it USER_ENCRYPT\.$/);
    expect(lines[end + 2]).toMatch(/^ {2}because USER_ENCRYPT took 30\.0 %/);
  });

  it('lines values up in one column', () => {
    const lines = formatDiagnosis(diagnosis, 120).split('\n');
    const column = (start: string, value: string): number =>
      lines.find((line) => line.startsWith(start))?.indexOf(value) ?? -1;
    expect(column('  ok    kernel ', 'Linux 6.12')).toBe(column('  warn  stolen ', '20.0 %'));
    expect(column('  ok    kernel ', 'Linux 6.12')).toBeGreaterThan(0);
  });
});

it('the JSON has the same, under a schema number', () => {
  const json = JSON.parse(JSON.stringify(diagnosisJson(diagnosis, '1.2.3')));
  expect(Object.keys(json)).toEqual(['schema', 'version', 'takenAtMs', 'status', 'checks', 'limit']);
  expect(json).toMatchObject({ schema: 1, version: '1.2.3', status: 'warn', limit: { id: 'user-encrypt' } });
  expect(Object.keys(json.checks[0])).toEqual([
    'id',
    'group',
    'interface',
    'title',
    'status',
    'value',
    'reason',
    'advice',
  ]);
  expect(json.checks).toHaveLength(diagnosis.checks.length);
});

it.each([
  ['ok', 0],
  ['note', 0],
  ['warn', 0],
  ['fail', 1],
] as const)('%s ends with exit code %i', (status, code) => expect(exitCodeOfDiagnosis({ status })).toBe(code));

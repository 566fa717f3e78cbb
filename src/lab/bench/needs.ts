/** What a bench needs of this machine: programs without which nothing runs, and subjects that are left out where theirs are missing. */
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { GigatunError } from '../../errors.ts';
import type { Screen } from '../progress.ts';
import { OWN_ROD, type SubjectName } from './subjects.ts';

const SYSTEM_PATHS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
const INCLUDE_PATHS = ['/usr/include', '/usr/local/include'];

/** Program and Debian package. */
const ALWAYS = [
  ['ip', 'iproute2'],
  ['iperf3', 'iperf3'],
  ['ping', 'iputils-ping'],
] as const;

/** A subject that cannot run here. */
export interface LeftOut {
  readonly name: SubjectName;
  /** What is missing and how to get it. */
  readonly reason: string;
}

/** Whether this machine has a program (by name) or a file (by path). */
export type IsPresent = (what: string) => boolean;

/** Throws GigatunError UNSUPPORTED that names what is missing. */
export function requirePrograms(isPresent: IsPresent = isHere): void {
  const missing = ALWAYS.filter(([program]) => !isPresent(program));
  if (missing.length === 0) return;
  const programs = missing.map(([program]) => program).join(', ');
  const packages = missing.map(([, debian]) => debian).join(' ');
  throw new GigatunError(
    'UNSUPPORTED',
    `the bench makes its load with programs that are missing here: ${programs}. ` +
      `On Debian: apt-get install --no-install-recommends ${packages}. gigatun bench --stages needs none of them.`,
  );
}

/** The subjects that can run here; the others are named on the screen. Throws GigatunError UNSUPPORTED when none can. */
export function runnable(
  names: readonly SubjectName[],
  screen: Screen,
): { readonly subjects: SubjectName[]; readonly leftOut: LeftOut[] } {
  const leftOut = leftOutOf(names);
  const subjects = names.filter((name) => leftOut.every((one) => one.name !== name));
  const lines = leftOut.map(({ name, reason }) => `left out: ${name}: ${reason}\n`);
  for (const line of lines) screen.write(line);
  if (subjects.length > 0) return { subjects, leftOut };
  throw new GigatunError(
    'UNSUPPORTED',
    `expected a subject that can run on this machine, got none; ${lines.join('').trim()}`,
  );
}

/** Those of the subjects that cannot run here. */
export function leftOutOf(subjects: readonly SubjectName[], isPresent: IsPresent = isHere): LeftOut[] {
  return subjects.flatMap((name) => {
    const reason = reasonFor(name, isPresent);
    return reason === null ? [] : [{ name, reason }];
  });
}

function reasonFor(name: SubjectName, isPresent: IsPresent): string | null {
  if (name === 'wireguard-go') return lacking(isPresent, ['wireguard-go', 'wg'], 'wireguard-go wireguard-tools');
  if (name === 'veth-plain') return lacking(isPresent, ['ethtool'], 'ethtool');
  if (name !== 'floor' && name !== 'floor-aes') return null;
  if (!isPresent(join(OWN_ROD, 'Makefile')))
    return 'its source, bench/floor, is not here: it comes with the repository';
  if (process.arch !== 'x64') return `it is written for x86-64, this is ${process.arch}`;
  const build = lacking(isPresent, ['make', 'cc'], 'make gcc');
  if (build !== null) return build;
  const header = INCLUDE_PATHS.some((path) => isPresent(join(path, 'intel-ipsec-mb.h')));
  return header ? null : 'its library is not installed; Debian: apt-get install libipsec-mb-dev';
}

function lacking(isPresent: IsPresent, programs: readonly string[], packages: string): string | null {
  const missing = programs.filter((program) => !isPresent(program));
  if (missing.length === 0) return null;
  return `${missing.join(', ')} not found; Debian: apt-get install --no-install-recommends ${packages}`;
}

function isHere(what: string): boolean {
  if (what.startsWith('/')) return existsSync(what);
  const paths = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_PATHS];
  return paths.some((path) => isExecutable(join(path, what)));
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

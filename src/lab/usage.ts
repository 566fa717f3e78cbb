/** What a process has used so far, read from /proc: CPU time of all its threads and its resident memory. */
import { readdirSync, readFileSync } from 'node:fs';

/** USER_HZ: the kernel tells user space all its tick counts in hundredths of a second. */
const TICKS_PER_SECOND = 100;

export interface Usage {
  /** User and system time of all threads, also of those that have ended, seconds. */
  readonly cpuSeconds: number;
  readonly userSeconds: number;
  readonly systemSeconds: number;
  /** Resident memory now and at its highest, bytes. */
  readonly residentBytes: number;
  readonly residentBytesMax: number;
}

/** Usage of one process. Throws the system error when it does not exist (any more). */
export function usageOf(pid: number): Usage {
  const { userSeconds, systemSeconds } = parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  const memory = parseStatus(readFileSync(`/proc/${pid}/status`, 'utf8'));
  // /proc/PID/stat is cut to ticks of 10 ms; the scheduler's own sums are exact but forget threads that have ended.
  const cpuSeconds = Math.max(userSeconds + systemSeconds, scheduledSeconds(pid));
  return { cpuSeconds, userSeconds, systemSeconds, ...memory };
}

/** Sum over several processes. */
export function usageOfAll(pids: readonly number[]): Usage {
  const sum = { cpuSeconds: 0, userSeconds: 0, systemSeconds: 0, residentBytes: 0, residentBytesMax: 0 };
  for (const pid of pids) {
    const usage = usageOf(pid);
    sum.cpuSeconds += usage.cpuSeconds;
    sum.userSeconds += usage.userSeconds;
    sum.systemSeconds += usage.systemSeconds;
    sum.residentBytes += usage.residentBytes;
    sum.residentBytesMax += usage.residentBytesMax;
  }
  return sum;
}

/** Fields 14 and 15 of /proc/PID/stat (proc(5)); the name in field 2 may hold spaces and parentheses. */
export function parseStat(text: string): { userSeconds: number; systemSeconds: number } {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    userSeconds: Number(fields[11]) / TICKS_PER_SECOND,
    systemSeconds: Number(fields[12]) / TICKS_PER_SECOND,
  };
}

export function parseStatus(text: string): { residentBytes: number; residentBytesMax: number } {
  const kibibytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? 0);
  return { residentBytes: kibibytes('VmRSS') * 1024, residentBytesMax: kibibytes('VmHWM') * 1024 };
}

function scheduledSeconds(pid: number): number {
  let nanoseconds = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      nanoseconds += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
    } catch {
      // The thread has ended since the listing, or this kernel keeps no such sums.
    }
  }
  return nanoseconds / 1e9;
}

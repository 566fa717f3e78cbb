/** Resident memory of a tunnel's processes while a load runs. */
import { median } from '../statistics.ts';
import { usageOf } from '../usage.ts';

const INTERVAL_MS = 100;

export interface MemoryUnderLoad {
  /** Of the larger end, bytes. */
  readonly most: number;
  /** Of the end that grew more: median of the last quarter of the samples less that of the first, bytes. */
  readonly growth: number;
}

/** Samples each process while `load` is under way. */
export async function watchMemory(pids: readonly number[], load: Promise<unknown>): Promise<MemoryUnderLoad> {
  const series = pids.map((): number[] => []);
  const sample = () => {
    for (const [index, pid] of pids.entries()) series[index]?.push(usageOf(pid).residentBytes);
  };
  sample();
  const timer = setInterval(sample, INTERVAL_MS);
  try {
    await load;
  } finally {
    clearInterval(timer);
  }
  return { most: Math.max(...series.flat()), growth: Math.max(...series.map(growthOf)) };
}

/** Median of the last quarter of a series less the median of its first quarter. */
export function growthOf(series: readonly number[]): number {
  const quarter = Math.max(1, Math.floor(series.length / 4));
  return median(series.slice(-quarter)) - median(series.slice(0, quarter));
}

/** Small statistics over samples of a run: what the lab reports is always a median, and says how far the samples spread. */

/** The value below which `share` (0 to 1) of the samples lie, by the nearest rank; NaN without samples. */
export function percentile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const rank = Math.max(1, Math.ceil(share * sorted.length));
  return sorted[rank - 1] ?? Number.NaN;
}

/** The middle sample, or the mean of the two middle ones; NaN without samples. */
export function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
  return (lower + upper) / 2;
}

export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly samples: readonly number[];
}

export function summarize(samples: readonly number[]): Summary {
  return { median: median(samples), least: Math.min(...samples), most: Math.max(...samples), samples };
}

/** A number with `digits` significant digits, but never fewer than its integer part has; '–' for what is not finite. */
export function significant(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return '–';
  if (value === 0) return '0';
  const integerDigits = Math.max(1, Math.floor(Math.log10(Math.max(1, Math.abs(value)))) + 1);
  if (Math.abs(value) < 1) return value.toPrecision(digits - 1);
  const text = value.toFixed(Math.max(0, digits - integerDigits));
  return integerDigits > 3 ? text.replace(/\B(?=(\d{3})+$)/g, ',') : text;
}

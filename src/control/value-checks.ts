/** What values from elsewhere are: checks of single fields, for those who read statuses and statistics. */
import { asRecord } from './control-protocol.ts';

export function hasNumbers(fields: Readonly<Record<string, unknown>>, keys: readonly string[]): boolean {
  return keys.every((key) => typeof fields[key] === 'number');
}

export function hasTexts(fields: Readonly<Record<string, unknown>>, keys: readonly string[]): boolean {
  return keys.every((key) => typeof fields[key] === 'string');
}

export function isCounts(value: unknown): boolean {
  const counts = Object.values(asRecord(value));
  return typeof value === 'object' && value !== null && counts.every((count) => typeof count === 'number');
}

export function isTexts(value: unknown): boolean {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string');
}

export function isTextOrNull(value: unknown): boolean {
  return value === null || typeof value === 'string';
}

export function isNumberOrNull(value: unknown): boolean {
  return value === null || typeof value === 'number';
}

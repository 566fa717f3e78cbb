/** The closed list of drop reasons. */
import { describe, expect, it } from 'vitest';
import { DROP, DROP_REASONS } from '../../src/packet/drop-reason.ts';

describe('drop reasons', () => {
  it('have as id their place in the list, and each its own name', () => {
    expect(DROP_REASONS.map(({ id }) => id)).toEqual(DROP_REASONS.map((_, index) => index));
    expect(new Set(DROP_REASONS.map(({ name }) => name)).size).toBe(DROP_REASONS.length);
    for (const { id, name } of DROP_REASONS) expect(DROP[name]).toBe(id);
  });

  it('say their direction in their name, and what happened in one sentence', () => {
    for (const { name, direction, meaning } of DROP_REASONS) {
      expect(name.startsWith(direction === 'outbound' ? 'OUT_' : 'IN_'), name).toBe(true);
      expect(meaning, name).toMatch(/^[A-Z].*\.$/);
    }
  });
});

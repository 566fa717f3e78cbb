import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { ACTIVITIES, COUNTERS } from '../../src/ledger/catalog.ts';
import { DROP_REASONS } from '../../src/packet/drop-reason.ts';
import { activitiesTable, countersTable, dropsTable } from './support/catalog-tables.ts';

const page = readFileSync(new URL('../../docs/ledger.md', import.meta.url), 'utf8');

describe('docs/ledger.md', () => {
  it('holds the tables of activities, counters and drops as the catalogs have them', () => {
    for (const table of [activitiesTable(), countersTable(), dropsTable()]) expect(page).toContain(`\n\n${table}\n\n`);
  });

  it('has no fourth table, and names nothing that no catalog has', () => {
    expect(page.match(/^\| ?-+ ?\|/gm)).toHaveLength(3);
    const known = new Set<string>([...ACTIVITIES, ...COUNTERS, ...DROP_REASONS].map(({ name }) => name));
    const named = page.match(/\b(KERN|USER|TUN|UDP|IN|OUT|WAIT|KEEPALIVE|HANDSHAKE)_[A-Z_]+\b/g) ?? [];
    expect(named.filter((name) => !known.has(name) && !CONSTANTS.has(name))).toEqual([]);
    expect(named.length).toBeGreaterThan(known.size - 5);
  });
});

/** Names of the protocol that meanings in the catalogs mention. */
const CONSTANTS: ReadonlySet<string> = new Set(['REKEY_ATTEMPT_TIME', 'REJECT_AFTER_TIME']);

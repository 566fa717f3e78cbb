/** The count at the end of a run of all tests. */
import { expect, it } from 'vitest';
import { countTests } from '../../scripts/test-summary.mjs';

const test = (status: string) => ({ status, fullName: `a ${status} test` });
const file = (status: string, ...tests: string[]) => ({ status, assertionResults: tests.map(test) });

it('passed and failed tests are counted over all files, skipped ones are named', () => {
  const testResults = [file('passed', 'passed', 'passed', 'skipped'), file('failed', 'failed', 'passed', 'pending')];
  expect(countTests({ testResults })).toEqual({ passed: 3, failed: 1, skipped: ['a skipped test', 'a pending test'] });
});

it('a file that could not be loaded is a failure', () => {
  expect(countTests({ testResults: [file('passed', 'passed'), file('failed')] })).toMatchObject({
    passed: 1,
    failed: 1,
  });
});

/**
 * Counts a vitest JSON report: what was skipped, by name, and a last line 'N passed, N failed'. A test file that could not
 * be loaded is one failure. Ends with status 1 when anything failed or nothing ran.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** @param report the parsed JSON report of vitest */
export function countTests(report) {
  const files = report.testResults;
  const tests = files.flatMap((file) => file.assertionResults);
  const unloaded = files.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const skipped = tests.filter((test) => test.status !== 'passed' && test.status !== 'failed');
  return {
    passed: tests.filter((test) => test.status === 'passed').length,
    failed: tests.filter((test) => test.status === 'failed').length + unloaded.length,
    skipped: skipped.map((test) => test.fullName),
  };
}

function readReport(file) {
  const text = readFileSync(file, 'utf8');
  return text === '' ? { testResults: [] } : JSON.parse(text);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { passed, failed, skipped } = countTests(readReport(process.argv[2] ?? ''));
  for (const name of skipped) process.stdout.write(`skipped: ${name}\n`);
  if (passed + failed === 0) process.stdout.write('no test ran\n');
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
}

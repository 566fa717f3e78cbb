/**
 * `npm run faults -- --minutes N [--seed S]`: the tests of test/interop/fault-*, of which the one that kills a tunnel again
 * and again does so for N minutes. A seed that was printed repeats the moments.
 */
import { spawnSync } from 'node:child_process';
import { parseArgs } from 'node:util';

const { values } = parseArgs({ options: { minutes: { type: 'string', default: '5' }, seed: { type: 'string' } } });
const minutes = Number(values.minutes);
if (!(minutes > 0 && minutes <= 24 * 60)) {
  console.error(`expected --minutes from 0 to 1440, got ${values.minutes}`);
  process.exit(2);
}
const seed = values.seed === undefined ? {} : { GIGATUN_FAULT_SEED: values.seed };
const env = { ...process.env, ...seed, GIGATUN_FAULT_MINUTES: values.minutes };
const { status } = spawnSync('npx', ['vitest', 'run', 'test/interop/fault-'], { env, stdio: 'inherit' });
process.exitCode = status ?? 1;

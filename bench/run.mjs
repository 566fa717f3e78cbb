/** `npm run bench`: the side-by-side run. The logic is in src/lab/bench; this starts what was built of it. */
import { runBench } from '../dist/lab/bench/run.js';

try {
  process.exitCode = await runBench(process.argv.slice(2), process.stdout);
} catch (error) {
  process.stderr.write(`bench: ${error.message}\n`);
  process.exitCode = 1;
}

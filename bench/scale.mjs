/** `npm run scale`: many peers. The logic is in src/lab/scale; this starts what was built of it. */
import { runScale } from '../dist/lab/scale/run.js';

try {
  process.exitCode = await runScale(process.argv.slice(2), process.stdout, process.stderr);
} catch (error) {
  process.stderr.write(`scale: ${error.message}\n`);
  process.exitCode = 1;
}

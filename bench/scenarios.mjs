/** `npm run scenarios`: tunnels over bad links. The logic is in src/lab/scenarios; this starts what was built of it. */
import { runScenarios } from '../dist/lab/scenarios/run.js';

try {
  process.exitCode = await runScenarios(process.argv.slice(2), process.stdout, process.stderr);
} catch (error) {
  process.stderr.write(`scenarios: ${error.message}\n`);
  process.exitCode = 1;
}

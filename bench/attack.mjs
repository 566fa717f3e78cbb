/** `npm run attack`: floods against a tunnel. The logic is in src/lab/attack; this starts what was built of it. */
import { runAttack } from '../dist/lab/attack/run.js';

try {
  process.exitCode = await runAttack(process.argv.slice(2), process.stdout, process.stderr);
} catch (error) {
  process.stderr.write(`attack: ${error.message}\n`);
  process.exitCode = 1;
}

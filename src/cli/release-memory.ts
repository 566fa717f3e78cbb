/**
 * Gives back what the start has left behind. A tunnel that is up allocates next to nothing, so no garbage collection would
 * ever come and free the configuration's text and all that was made of it: with 10,000 peers, more than the peers take.
 */
import { Session } from 'node:inspector';

/** Collects garbage once, through the engine's own interface for it; best effort. */
export function releaseMemory(): void {
  try {
    const session = new Session();
    session.connect();
    // Not at once: within the answer to its own request a session waits for itself, for ever.
    session.post('HeapProfiler.collectGarbage', () => setImmediate(() => session.disconnect()));
  } catch {
    // A Node.js built without the inspector.
  }
}

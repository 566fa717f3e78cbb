/** Entry point of a lane's thread: everything it needs comes with the worker's data. */

import type { MessagePort } from 'node:worker_threads';
import { workerData } from 'node:worker_threads';
import { type LaneStart, runLane } from './lane.ts';

const { start, port } = workerData as { start: LaneStart; port: MessagePort };
runLane(start, port);

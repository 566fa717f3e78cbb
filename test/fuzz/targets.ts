/** All fuzz targets, in the order in which a campaign runs them. */
import { nativeDescriptors } from './native-targets.ts';
import { coalescing, innerHeaders, superPackets } from './packet-targets.ts';
import { controlMessages, datagrams, handshakes, laneMessages } from './protocol-targets.ts';
import type { Target } from './target.ts';
import { configurations, controlLines, uapiRequests, values } from './text-targets.ts';

export const TARGETS: readonly Target[] = [
  ...[handshakes, datagrams, controlMessages, laneMessages],
  ...[superPackets, innerHeaders, coalescing],
  ...[configurations, values, controlLines, uapiRequests],
  nativeDescriptors,
];

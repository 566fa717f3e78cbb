/**
 * The offloads that configuration speaks of: what a device opens of the kernel's, and what a peer gets of them. A name
 * stands for both directions where there are two.
 */

/**
 * `tun-tso`, `tun-uso`: TCP and UDP super-packets between the kernel and the tunnel, read and written. `udp-gso`:
 * datagrams sent in groups (UDP_SEGMENT). `udp-gro`: datagrams received in groups.
 */
export const OFFLOAD_NAMES = ['tun-tso', 'tun-uso', 'udp-gso', 'udp-gro'] as const;

export type OffloadName = (typeof OFFLOAD_NAMES)[number];

/**
 * Whether datagrams go to a peer in groups: `auto`, as far as the path is found to carry them; `none`, never; `udp-gso`,
 * always as large as the kernel takes them, whatever the path does.
 */
export const PEER_OFFLOADS = ['auto', 'none', 'udp-gso'] as const;

export type PeerOffloads = (typeof PEER_OFFLOADS)[number];

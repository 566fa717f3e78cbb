/** Limits and defaults of configuration values that the parser, the link and the device share. */

/** Most lanes (worker threads) of a device. */
export const LANES_MAX = 64;

/** Longest TUN queue that a configuration may ask for, packets. */
export const QUEUE_LENGTH_MAX = 10_000;

/** Largest inner packet where nothing else tells: an Ethernet frame's 1,500 bytes less what the tunnel adds at most. */
export const DEFAULT_MTU = 1_420;

/** IPv6's smallest link MTU; Linux removes IPv6 from an interface below it (RFC 8200, section 5). */
export const MTU_MIN_IPV6 = 1_280;

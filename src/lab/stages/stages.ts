/** The stages that are measured, in the packet's order: what each is, whether it is JavaScript or native, and which way it belongs to. */

/** Every clocked part; 'coalesceAndWrite' is a sum of two and not shown. */
export type StageId = (typeof STAGES)[number]['id'] | 'coalesceAndWrite';

export const STAGES = [
  { id: 'inspect', direction: 'outbound', isNative: false, title: 'read: test the packet' },
  { id: 'route', direction: 'outbound', isNative: false, title: 'route: longest prefix' },
  { id: 'split', direction: 'outbound', isNative: false, title: 'split: headers of segments' },
  { id: 'seal', direction: 'outbound', isNative: false, title: 'seal: counters, padding, groups' },
  { id: 'encrypt', direction: 'outbound', isNative: true, title: 'seal: gather, checksum, AEAD' },
  { id: 'txHistory', direction: 'outbound', isNative: false, title: 'TX history' },
  { id: 'send', direction: 'outbound', isNative: false, title: 'send: count what was sent' },
  { id: 'receive', direction: 'inbound', isNative: false, title: 'receive: type, keypair, counter' },
  { id: 'decrypt', direction: 'inbound', isNative: true, title: 'unseal: AEAD, checksum' },
  { id: 'rxHistory', direction: 'inbound', isNative: false, title: 'RX history: replay window' },
  { id: 'coalesce', direction: 'inbound', isNative: false, title: 'verify and coalesce' },
  { id: 'write', direction: 'inbound', isNative: false, title: 'write: lists of pieces' },
] as const;

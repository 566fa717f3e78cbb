/** Slow twin of src/protocol/padding.ts: adds zeros one by one. */
export function referencePaddedLength(length: number, mtu: number): number {
  let padded = length;
  let lastUnit = mtu > 0 && length > mtu ? length % mtu : length;
  while (lastUnit % 16 !== 0 && lastUnit !== mtu) {
    lastUnit++;
    padded++;
  }
  return padded;
}

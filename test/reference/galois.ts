/** GF(256) as the textbook has it: polynomials over GF(2), multiplied bit by bit, reduced by x^8 + x^4 + x^3 + x^2 + 1. */

export function slowProduct(one: number, other: number): number {
  let product = 0;
  for (let bit = 0; bit < 8; bit += 1) if ((other >> bit) & 1) product ^= one << bit;
  for (let bit = 14; bit >= 8; bit -= 1) if ((product >> bit) & 1) product ^= 0x11d << (bit - 8);
  return product;
}

/** By trying all. */
export function slowInverse(value: number): number {
  for (let inverse = 1; inverse < 256; inverse += 1) if (slowProduct(value, inverse) === 1) return inverse;
  throw new RangeError('0 has no inverse');
}

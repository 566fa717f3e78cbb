/**
 * Arithmetic of GF(256) for single numbers and small matrices: bytes as polynomials over GF(2) modulo x^8 + x^4 + x^3 + x^2 + 1
 * (0x11d; RFC 5510, 8.1), multiplied by way of logarithms to the base x. Whole datagrams are native code's (`accumulate`).
 */

const POLYNOMIAL = 0x11d;
const ORDER = 255;
/** Powers of x, twice over, so that a sum of two logarithms needs no reduction. */
const POWERS: Uint8Array = new Uint8Array(2 * ORDER);
const LOGARITHMS: Uint8Array = new Uint8Array(256);

let power = 1;
for (let exponent = 0; exponent < ORDER; exponent += 1) {
  POWERS[exponent] = power;
  POWERS[exponent + ORDER] = power;
  LOGARITHMS[power] = exponent;
  power = power < 128 ? power << 1 : (power << 1) ^ POLYNOMIAL;
}

/** Product of two bytes. */
export function product(one: number, other: number): number {
  return one === 0 || other === 0 ? 0 : POWERS[LOGARITHMS[one] + LOGARITHMS[other]];
}

/** The byte whose product with `value`, 1 to 255, is 1. */
export function inverse(value: number): number {
  return POWERS[ORDER - LOGARITHMS[value]];
}

/** Product of a byte with a number of 16 bits: that of either of its bytes. */
export function product16(coefficient: number, value: number): number {
  return (product(coefficient, value >>> 8) << 8) | product(coefficient, value & 0xff);
}

/**
 * Solves equations: takes a square matrix of `size` rows, one behind the other, to its inverse, by Gauss and Jordan.
 *
 * @param matrix size * size bytes; afterwards it is of no use
 * @param inverted size * size bytes, for the inverse
 * @returns false if there is no inverse
 */
export function invert(matrix: Uint8Array, inverted: Uint8Array, size: number): boolean {
  inverted.fill(0, 0, size * size);
  for (let at = 0; at < size; at += 1) inverted[at * size + at] = 1;
  for (let column = 0; column < size; column += 1) {
    let pivot = column;
    while (pivot < size && matrix[pivot * size + column] === 0) pivot += 1;
    if (pivot === size) return false;
    swapRows(matrix, size, pivot, column);
    swapRows(inverted, size, pivot, column);
    const factor = inverse(matrix[column * size + column]);
    scaleRow(matrix, size, column, factor);
    scaleRow(inverted, size, column, factor);
    for (let row = 0; row < size; row += 1) {
      const times = row === column ? 0 : matrix[row * size + column];
      if (times === 0) continue;
      addRow(matrix, size, column, row, times);
      addRow(inverted, size, column, row, times);
    }
  }
  return true;
}

function swapRows(matrix: Uint8Array, size: number, one: number, other: number): void {
  if (one === other) return;
  for (let column = 0; column < size; column += 1) {
    const kept = matrix[one * size + column];
    matrix[one * size + column] = matrix[other * size + column];
    matrix[other * size + column] = kept;
  }
}

function scaleRow(matrix: Uint8Array, size: number, row: number, factor: number): void {
  for (let at = row * size; at < (row + 1) * size; at += 1) matrix[at] = product(matrix[at], factor);
}

function addRow(matrix: Uint8Array, size: number, from: number, to: number, times: number): void {
  for (let column = 0; column < size; column += 1)
    matrix[to * size + column] ^= product(matrix[from * size + column], times);
}

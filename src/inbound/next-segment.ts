/**
 * Inbound, the next segment: what the header of the packet must be that continues the run of the packet before. Most
 * packets of bulk traffic do: their headers are the one before but for sequence number, IPv4 id and checksums. So they
 * are told by comparing words with an expectation, and need no parsing: version, lengths, addresses, ports, flags,
 * options and the source's allowed IPs are those of a packet that passed every check.
 *
 * Whoever differs in any bit, is shorter, ends the run, or does not lie at a multiple of 4 takes the long way, which
 * decides alone.
 */
import { foldSmallSum, IPV4, IPV6, PROTOCOL, sumWords, TCP } from '../packet/ip-header.ts';

/** Words of the longest IP and TCP header without extensions: 40 + 60 bytes. */
const HEADER_WORDS_MAX = 25;
const NOBODY = -1;

export class NextSegment {
  /** Peer of the run, or -1 while nothing is expected. */
  peer: number = NOBODY;
  /** Length of the packet by its IP header, bytes; that of its headers; and of its payload. */
  length = 0;
  headerLength = 0;
  payload = 0;
  readonly #words: Int32Array = new Int32Array(HEADER_WORDS_MAX);
  #checksumWord = 0;
  #count = 0;
  /** Added to the plaintext's sum it gives 0xffff where the TCP checksum is good. */
  #sumRest = 0;
  #sequenceWord = 0;
  #sequence = 0;
  /** IPv4: id of the expected packet, what is added to it for the one after (0 or 1), and the header's sum but for id and checksum. */
  #id = 0;
  #idStep = 0;
  #ipv4Rest = 0;

  forget(): void {
    this.peer = NOBODY;
  }

  /**
   * Expects what follows the TCP packet at `ip`, which passed all checks, has good checksums and was appended to a run.
   * @param idStep what IPv4 ids grow by within the run
   */
  learn(
    view: DataView,
    words: Int32Array,
    ip: number,
    transport: number,
    headerLength: number,
    payload: number,
    peer: number,
    idStep: number,
  ): void {
    this.forget();
    if ((ip & 3) !== 0 || headerLength > HEADER_WORDS_MAX * 4) return;
    this.peer = peer;
    this.length = headerLength + payload;
    this.headerLength = headerLength;
    this.payload = payload;
    this.#count = headerLength >> 2;
    this.#checksumWord = (transport + TCP.CHECKSUM) >> 2;
    this.#sequenceWord = (transport + TCP.SEQUENCE) >> 2;
    this.#sequence = view.getInt32(ip + transport + TCP.SEQUENCE);
    for (let word = 0; word < this.#count; word += 1) this.#words[word] = words[(ip >> 2) + word];
    if (transport === IPV6.HEADER_LENGTH) this.#learnIpv6(view, ip);
    else this.#learnIpv4(view, ip, idStep);
    this.advance();
  }

  #learnIpv4(view: DataView, ip: number, idStep: number): void {
    this.#id = view.getUint16(ip + IPV4.ID);
    this.#idStep = idStep;
    const sum = sumWords(view, ip, IPV4.HEADER_LENGTH_MIN);
    this.#ipv4Rest = sum - this.#id - view.getUint16(ip + IPV4.CHECKSUM);
    this.#sumRest = sumWords(view, ip + IPV4.SOURCE, 8) + PROTOCOL.TCP + this.length - IPV4.HEADER_LENGTH_MIN;
  }

  /** Addresses and length stand in both the header and the pseudo header and cancel out. */
  #learnIpv6(view: DataView, ip: number): void {
    this.#idStep = 0;
    this.#sumRest = PROTOCOL.TCP + 3 * 0xffff - sumWords(view, ip, 4) - view.getUint16(ip + IPV6.NEXT_HEADER);
  }

  /** Whether the packet at `ip` is the expected one; `sum` is the folded sum of its whole plaintext. */
  matches(words: Int32Array, ip: number, sum: number): boolean {
    if ((ip & 3) !== 0) return false;
    const expected = this.#words;
    const checksumWord = this.#checksumWord;
    const count = this.#count;
    const at = ip >> 2;
    let differing = 0;
    for (let word = 0; word < checksumWord; word += 1) differing |= words[at + word] ^ expected[word];
    // Checksum and urgent pointer, which means nothing without its flag, are no part of a flow's likeness.
    for (let word = checksumWord + 1; word < count; word += 1) differing |= words[at + word] ^ expected[word];
    return differing === 0 && foldSmallSum(sum + this.#sumRest) === 0xffff;
  }

  /** Expects the packet after the expected one. */
  advance(): void {
    const words = this.#words;
    this.#sequence = (this.#sequence + this.payload) | 0;
    words[this.#sequenceWord] = swapWord(this.#sequence);
    if (this.#idStep === 0) return;
    this.#id = (this.#id + this.#idStep) & 0xffff;
    const checksum = ~foldSmallSum(this.#ipv4Rest + this.#id) & 0xffff;
    words[IPV4.ID >> 2] = (words[IPV4.ID >> 2] & ~0xffff) | swapHalf(this.#id);
    words[IPV4.TTL >> 2] = (words[IPV4.TTL >> 2] & 0xffff) | (swapHalf(checksum) << 16);
  }
}

/** A big-endian value as the little-endian view of words shows it. */
function swapWord(value: number): number {
  return (value << 24) | ((value & 0xff00) << 8) | ((value >>> 8) & 0xff00) | (value >>> 24);
}

function swapHalf(value: number): number {
  return ((value & 0xff) << 8) | (value >>> 8);
}

/**
 * Which cipher the next initiation to a peer offers. A forced cipher is offered always. Under `auto`, AES-256-GCM is
 * offered first where this machine is fast at it; an offer that goes unanswered is followed by WireGuard's cipher at the
 * next try. A stock peer, which cannot even read the offer, so misses one initiation, and no more:
 *
 *     unknown   nothing was heard of the peer: one offer without an answer and it counts as refused
 *     works     a handshake in AES-256-GCM was completed, so that silence may be the network's. It counts as refused when
 *               WireGuard's cipher is answered at once where AES-256-GCM was not (a stock peer took its place). While
 *               messages still come on a keypair in AES-256-GCM, silence to an offer means nothing
 *     refused   no more offers, until the peer itself initiates in AES-256-GCM
 *
 * A lost offer must not decide for good. So the responder of a handshake in WireGuard's cipher, if it does not hold the
 * peer for refused, makes an offer of its own once the session stands; nothing depends on its answer.
 */
import { allows, CIPHER_DEFAULT, type Cipher, type CipherChoice } from './cipher.ts';

export class CipherPolicy {
  readonly #prefersAes: boolean;
  #choice: CipherChoice = CIPHER_DEFAULT;
  #aes: 'unknown' | 'works' | 'refused' = 'unknown';
  /** Whether an initiation in AES-256-GCM waits for its answer. */
  #isOffered = false;
  /** Initiations in WireGuard's cipher since an offer went unanswered in this handshake; null before. */
  #triesAfterOffer: number | null = null;

  /** @param prefersAes whether AES-256-GCM is fast here */
  constructor(prefersAes: boolean) {
    this.#prefersAes = prefersAes;
  }

  get choice(): CipherChoice {
    return this.#choice;
  }

  /** Also forgets what was learned of the peer. */
  choose(choice: CipherChoice): void {
    this.#choice = choice;
    this.#aes = 'unknown';
    this.#isOffered = false;
    this.#triesAfterOffer = null;
  }

  allows(cipher: Cipher): boolean {
    return allows(this.#choice, cipher);
  }

  /** The cipher of the initiation that now goes out. */
  next(): Cipher {
    const cipher = this.#choice === 'auto' ? this.#offer() : this.#choice;
    this.#isOffered = this.#choice === 'auto' && cipher === 'aes-256-gcm';
    if (this.#triesAfterOffer !== null) this.#triesAfterOffer++;
    return cipher;
  }

  /**
   * The initiation was not answered in time.
   *
   * @param sessionStands whether another session with the peer works, so that its silence means no
   * @returns whether the initiation was an offer
   */
  unanswered(sessionStands: boolean): boolean {
    if (!this.#isOffered) return false;
    this.#isOffered = false;
    this.#triesAfterOffer = 0;
    if (sessionStands || this.#aes === 'unknown') this.#aes = 'refused';
    return true;
  }

  /** The peer answered our initiation. */
  answered(cipher: Cipher): void {
    if (cipher === 'aes-256-gcm') this.#aes = 'works';
    else if (this.#triesAfterOffer === 1) this.#aes = 'refused';
    this.#isOffered = false;
    this.#triesAfterOffer = null;
  }

  /** An authentic initiation of the peer was taken. */
  initiated(cipher: Cipher): void {
    if (cipher !== 'aes-256-gcm') return;
    this.#aes = 'works';
    this.#isOffered = false;
    this.#triesAfterOffer = null;
  }

  /** The session of the peer's initiation is in use. Returns whether to make an offer of our own. */
  confirmed(cipher: Cipher): boolean {
    // An offer that crossed with the peer's initiation and was not what it answered.
    this.unanswered(false);
    this.#triesAfterOffer = null;
    return cipher !== 'aes-256-gcm' && this.#choice === 'auto' && this.#offer() === 'aes-256-gcm';
  }

  #offer(): Cipher {
    const isWorthIt = this.#prefersAes && this.#aes !== 'refused' && this.#triesAfterOffer === null;
    return isWorthIt ? 'aes-256-gcm' : 'chacha20-poly1305';
  }
}

/** A lab and what runs in it, as one thing that is closed once: also when opening it fails half way. */
import { Lab } from '../../src/lab/namespaces.ts';

type Close = () => Promise<unknown>;

export interface Scene extends AsyncDisposable {
  readonly lab: Lab;
  /** Ends all programs and removes the namespaces. Twice is fine. */
  close(): Promise<void>;
}

/** Opens a scene; `open` tells `onClose` how what it has started is ended again. Throws what `open` throws. */
export async function openScene<Parts extends object>(
  open: (lab: Lab, onClose: (close: Close) => void) => Promise<Parts>,
): Promise<Parts & Scene> {
  const lab = new Lab();
  const closes: Close[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(closes.splice(0).map((one) => one()));
    lab.close();
  };
  try {
    const parts = await open(lab, (one) => closes.push(one));
    return { ...parts, lab, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** `gigatun demo`: the lab's demonstration, on this terminal. */
import { runDemo } from '../lab/demo.ts';

export interface DemoCommandOptions {
  /** Length of each phase. */
  readonly seconds: number;
  readonly lanes: number;
  readonly ipv6: boolean;
  /** File for all figures, or null. */
  readonly json: string | null;
}

export async function demo(options: DemoCommandOptions): Promise<number> {
  const { json, ...rest } = options;
  return await runDemo({ ...rest, ...(json === null ? {} : { json }), stdout: process.stdout });
}

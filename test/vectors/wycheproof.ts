/** The parts of Wycheproof's files that tests here use. All byte strings are hexadecimal. */

export interface WycheproofFile<Case> {
  readonly numberOfTests: number;
  readonly testGroups: readonly { readonly tests: readonly Case[] }[];
}

export interface AeadCase {
  readonly tcId: number;
  readonly comment: string;
  readonly flags: readonly string[];
  readonly key: string;
  readonly iv: string;
  readonly aad: string;
  readonly msg: string;
  readonly ct: string;
  readonly tag: string;
  readonly result: 'valid' | 'invalid';
}

export interface XdhCase {
  readonly tcId: number;
  readonly comment: string;
  readonly flags: readonly string[];
  readonly public: string;
  readonly private: string;
  readonly shared: string;
  readonly result: 'valid' | 'acceptable' | 'invalid';
}

export const ABSENT: WycheproofFile<never> = { numberOfTests: 0, testGroups: [] };

export function casesOf<Case>(file: WycheproofFile<Case>): Case[] {
  return file.testGroups.flatMap((group) => group.tests);
}

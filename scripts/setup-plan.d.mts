/** Types of setup-plan.mjs, which is plain JavaScript because it runs before anything is installed. */

export interface Need {
  readonly find: string;
  readonly package: string;
  readonly purpose: string;
  readonly tasks: readonly string[];
  readonly arch?: string;
}
export type PackagePlan =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'install'; readonly packages: readonly string[] }
  | { readonly kind: 'tell'; readonly packages: readonly string[]; readonly text: string };
interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string; readonly optional?: boolean }>>;
}

export declare const NODE_LEAST: readonly [number, number];
export declare const TASKS: readonly string[];
export declare function missingNeeds(task: string, arch: string, isPresent: (find: string) => boolean): Need[];

/** What would make a task faster or more complete, and `isPresent(find)` denies. */
export declare function missingWishes(task: string, arch: string, isPresent: (find: string) => boolean): Need[];
export declare function planPackages(
  missing: readonly Need[],
  machine: { readonly isRoot: boolean; readonly hasAptGet: boolean },
): PackagePlan;
export declare function isNodeNewEnough(version: string): boolean;
export declare function isInstallCurrent(lock: Lock, installed: Lock | null): boolean;

/** Types of test-summary.mjs, which runs without a build. */

export interface VitestReport {
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly { readonly status: string; readonly fullName: string }[];
  }[];
}

export declare function countTests(report: VitestReport): { passed: number; failed: number; skipped: string[] };

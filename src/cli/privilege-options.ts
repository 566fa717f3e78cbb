/** The options of `up` and `daemon` about privileges; what they mean is decided in `control/privileges.ts`. */
export interface PrivilegeOptions {
  /** false: keep all privileges when the tunnel is up. */
  readonly dropPrivileges?: boolean;
  /** The same, as other programs name it. */
  readonly disableDropPrivileges?: true;
}

export function isDropWanted({ dropPrivileges, disableDropPrivileges }: PrivilegeOptions): boolean {
  return dropPrivileges !== false && disableDropPrivileges !== true;
}

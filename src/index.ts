/** The public API: a device, its configuration, its status and its books; and the doctor of the machine that it runs on. */
export { DEFAULT_MTU } from './control/config-limits.ts';
export type {
  DeviceConfig,
  IpPrefix,
  NumericEndpoint,
  PeerConfig,
} from './control/config-types.ts';
export type {
  AllowedIpChange,
  DeviceChange,
  DeviceSettings,
  PeerChange,
  PeerSettings,
} from './control/device-change.ts';
export { createLogger, type Logger, type LogLevel } from './control/log.ts';
export type { OutgoingInitiation } from './control/name-watch.ts';
export type { PrivilegeReport } from './control/privilege-report.ts';
export { type Capability, dropPrivileges, forbidDumps } from './control/privileges.ts';
export { openDevice } from './device.ts';
export type { Device, DeviceEnd, DeviceOptions, DeviceStatus, PeerStatus } from './device-types.ts';
export type { Check, Status } from './doctor/check.ts';
export { type Diagnosis, type DoctorOptions, examine } from './doctor/doctor.ts';
export type { Limit } from './doctor/limit.ts';
export { diagnosisJson, formatDiagnosis } from './doctor/report.ts';
export { type ErrorCode, GigatunError } from './errors.ts';
export { formatStats, statsJson } from './ledger/report.ts';
export { type DeviceSnapshot, difference, type LaneSnapshot } from './ledger/snapshot.ts';
export type { HeldOffload } from './offloads/lane-faults.ts';
export type { OffloadName, PeerOffloads } from './offloads/offload-name.ts';
export type { Endpoint } from './packet/endpoint.ts';
export type { Cipher, CipherChoice } from './protocol/cipher.ts';

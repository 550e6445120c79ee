/** The Winsock Kernel programming model: docs/wsk.md maps its names to these. */
export * from './addresses.ts'
export { WskList, bytesOf, out, wskBuf } from './buffer.ts'
export type { Out, WskBuf } from './buffer.ts'
export * from './constants.ts'
export type { Chaos } from './dispatcher.ts'
export { inspectIdKey } from './dispatch.ts'
export type * from './dispatch.ts'
export type { EventCallbackControl } from './events.ts'
export { Connection, Listener, WskApplication, request } from './idiomatic.ts'
export type { ConnectOptions, InspectRequest, Inspector, ListenOptions, Verdict } from './idiomatic.ts'
export { IoAllocateIrp, IoCancelIrp, IoFreeIrp, IoReuseIrp, IoSetCompletionRoutine, Irp } from './irp.ts'
export type { CompletionCases, CompletionRoutine, IoStatus, IrpSink, IrpState } from './irp.ts'
export type { AddrInfo, AddrInfoHints } from './names.ts'
export type { SecurityDescriptor } from './sharing.ts'
export { STATUS, WskError, ntSuccess, statusName, statusText } from './status.ts'
export type { NtStatus, NtStatusName } from './status.ts'
export * from './status-names.ts'
export { TCP_TRANSPORT, UDP_TRANSPORT } from './transports.ts'
export type { Transports, WskTransport } from './transports.ts'
export type { Liveness } from './kit.ts'
export { Wsk, WskRegistration, createWsk } from './wsk.ts'
export type { WskOptions } from './wsk.ts'
export type {
  WskClient,
  WskClientNpi,
  WskProviderCharacteristics,
  WskProviderDispatch,
  WskProviderNpi,
} from './provider-dispatch.ts'

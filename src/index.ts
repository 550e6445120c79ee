/** Build a switch of your own: `createSwitch({ san: [shm({ native })] })`. Nothing happens at import time. */
export { createSwitch } from './switch/switch.ts'
export type { Switch, SwitchOptions, ProviderReport } from './switch/switch.ts'
export type { Explanation, ExplainedStep } from './switch/explain.ts'
export type { Policy, Decision, Action, Role } from './switch/policy.ts'
export type { Stats, SwitchedMessage, RefusedMessage, StayMessage } from './switch/stats.ts'
export type { SwitchSocket, ConnectOutcome, ListenOptions } from './switch/socket.ts'
export type { SocketState } from './switch/socket-state.ts'
export type { Condition, IncomingRequest, Judgement, Refusal, RequestState } from './switch/incoming.ts'
export type { Schedule } from './switch/network-event.ts'
export type { Arrival } from './switch/listen.ts'
export type { Session, SessionOwner } from './switch/session/session.ts'
export type { SessionState } from './switch/session/session-state.ts'
export type { LargeDone } from './switch/session/block-sender.ts'
export type { Suspended } from './switch/session/mover.ts'
export { REASONS } from './switch/reasons.ts'
export type { Reason } from './switch/reasons.ts'
export { tcpip } from './providers/tcpip/index.ts'
export type { HostSocket, TcpipArrival, TcpipOwner, TcpipProvider } from './spi/tcpip.ts'
export type { Stream, StreamOwner, StreamState } from './spi/stream.ts'
export { shm } from './providers/shm/index.ts'
export type { ShmOptions, ShmProvider, ShmLimits, ShmStats } from './providers/shm/index.ts'
export { loadShm } from './native/load.ts'
export type { Loaded } from './native/load.ts'
export type {
  FoundListener,
  Poller,
  PollerStats,
  PollSource,
  ReceivedMessage,
  ShmNative,
  Watcher,
} from './native/shm.ts'
export type { Cancel, Clock } from './base/clock.ts'

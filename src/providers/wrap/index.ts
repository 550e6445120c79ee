export { fault } from './fault.ts'
export type { Fault, FaultOptions } from './fault.ts'
export { trace } from './trace.ts'
export type { TraceRecord } from './trace.ts'

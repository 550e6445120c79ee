/**
 * `sockswitch/san`: what every SAN socket has, whatever carries it. A provider brings a {@link Carrier}; {@link Startups} makes
 * its sockets. docs/writing-a-provider.md shows how.
 */
export type { Attempt, Carrier, Connection, ConnectionOwner, IncomingRequest } from './carrier.ts'
export { FurtherMemory } from './further-memory.ts'
export { Listener } from './listener.ts'
export { EventRecord } from './network-events.ts'
export { PostedReceive } from './posted-receive.ts'
export { CarriedSocket } from './socket.ts'
export { Startups } from './startups.ts'
export { SubnetSet } from '../base/subnet-set.ts'

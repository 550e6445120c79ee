import type { Cluster } from 'node:cluster'
import { createRequire } from 'node:module'
import type { OwnerServer, TcpHandle } from './internals.ts'

let cluster: Cluster | undefined

/** `net` itself loads `cluster` at every listen, so this costs nothing more; before, it would change what a preload costs. */
export function loadCluster(): Cluster {
  return (cluster ??= createRequire(import.meta.url)('node:cluster') as Cluster)
}

/** True for the process number of a worker of this primary. */
export function isWorker(processId: number): boolean {
  return Object.values(loadCluster().workers ?? {}).some((worker) => worker?.process.pid === processId)
}

/**
 * Tells when somebody other than the server takes the connections of `handle`: in a cluster's primary its round robin does,
 * as soon as the server listens, and before any worker hears that it does.
 */
export function onTakeOver(handle: TcpHandle, tell: () => void): void {
  let callback = handle.onconnection
  Object.defineProperty(handle, 'onconnection', {
    configurable: true,
    enumerable: true,
    get: () => callback,
    set(taker: TcpHandle['onconnection']) {
      callback = taker
      Object.defineProperty(handle, 'onconnection', { value: taker, writable: true })
      tell()
    },
  })
}

/** What a worker asks before it takes a connection from its primary. */
export function hasRoom(server: OwnerServer): boolean {
  const { dropMaxConnection, _connections } = server
  const max = server.maxConnections as number | null | undefined
  return _connections < (max ?? Infinity) || dropMaxConnection === true
}

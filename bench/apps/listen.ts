import type { Server } from 'node:net'
import { endpointOf, report, serveCommands } from './control.ts'

/** Listens where the options say, prints the address, and serves commands until told to stop. */
export function listen(server: Server, options: { host: string; port: number; path: string }): void {
  serveCommands()
  server.listen({ ...endpointOf(options), backlog: 4096 }, () => {
    const address = server.address()
    report('listening', typeof address === 'string' ? { path: address } : { ...address })
  })
}

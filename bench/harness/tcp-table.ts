import { readFile } from 'node:fs/promises'

const LISTEN_STATE = '0A'

/**
 * Counts the TCP connections to or from a local port that the kernel knows, those just closed included. It asks nobody
 * but the kernel: a connection carried by anything else than TCP/IP is not in this table.
 *
 * @returns undefined where there is no such table to read.
 */
export async function countTcpConnections(port: number): Promise<number | undefined> {
  const tables = await Promise.all(['/proc/net/tcp', '/proc/net/tcp6'].map(readTable))
  if (tables.every((table) => table === undefined)) return undefined
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  let fromServer = 0
  let fromClient = 0
  for (const line of tables.join('\n').split('\n')) {
    const [, local, remote, state] = line.trim().split(/\s+/, 4)
    if (state === LISTEN_STATE || local === undefined || remote === undefined) continue
    if (local.endsWith(suffix)) fromServer += 1
    if (remote.endsWith(suffix)) fromClient += 1
  }
  // A connection has a row for each of its ends, of which one is soon gone after closing.
  return Math.max(fromServer, fromClient)
}

async function readTable(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'latin1')
  } catch {
    return undefined
  }
}

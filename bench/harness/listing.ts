import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { CLI_FILE } from './paths.ts'

const LIST_TIMEOUT_MS = 10_000

/** Runs `sockswitch ls` and returns what it printed. */
export async function listConnections(...args: string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [CLI_FILE, 'ls', ...args], {
    timeout: LIST_TIMEOUT_MS,
    maxBuffer: 64 * 1024 * 1024,
  })
  return stdout
}

/** Counts, by provider, the rows of `sockswitch ls --json` that speak of a port. */
export function countByProvider(json: string, port: number): Map<string, number> {
  const counts = new Map<string, number>()
  for (const row of rowsOf(JSON.parse(json))) {
    const { provider } = row
    if (typeof provider !== 'string' || !mentionsPort(row, port)) continue
    counts.set(provider, (counts.get(provider) ?? 0) + 1)
  }
  return counts
}

function rowsOf(value: unknown): Record<string, unknown>[] {
  if (Array.isArray(value)) return value.flatMap(rowsOf)
  if (typeof value !== 'object' || value === null) return []
  const row = value as Record<string, unknown>
  return 'provider' in row ? [row] : Object.values(row).flatMap(rowsOf)
}

function mentionsPort(value: unknown, port: number): boolean {
  if (typeof value === 'string') return value.endsWith(`:${port}`)
  if (typeof value !== 'object' || value === null) return value === port
  return Object.values(value).some((part) => mentionsPort(part, port))
}

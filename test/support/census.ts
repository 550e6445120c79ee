import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const MARK = 'sockswitch'

/** What a process holds that could be left behind. */
export interface Census {
  /** Open descriptors by kind: `socket`, `eventfd`, `memfd:sockswitch`, `pipe`, or a path. */
  readonly descriptors: Readonly<Record<string, number>>
  /** Mappings of memory that sockswitch made. */
  readonly mappings: number
  /** The process's own AF_UNIX names that sockswitch made. */
  readonly names: readonly string[]
}

/** Counts what process `pid` holds now. Collects garbage first where it can (`--expose-gc`), for views end with it. */
export function censusOf(pid: number | 'self' = 'self'): Census {
  if (pid === 'self') globalThis.gc?.()
  const links = descriptorLinks(pid)
  const descriptors: Record<string, number> = {}
  for (const link of links) {
    const kind = kindOf(link)
    descriptors[kind] = (descriptors[kind] ?? 0) + 1
  }
  const inodes = new Set(links.map((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1]))
  return {
    descriptors,
    mappings: linesOf(`/proc/${pid}/maps`).filter((line) => line.includes(`memfd:${MARK}`)).length,
    names: unixSockets().flatMap(({ inode, name }) => (inodes.has(inode) ? [name] : [])),
  }
}

/**
 * What `after` holds more of than `before`, as one line each; empty when nothing is left behind.
 *
 * @param kept How many descriptors of a kind, mappings and names may be made once and stay with the process.
 */
export function leftovers(before: Census, after: Census, kept = 0): string[] {
  const descriptors = Object.entries(after.descriptors).flatMap(([kind, count]) => {
    const had = before.descriptors[kind] ?? 0
    return count > had + kept ? [`descriptors ${kind}: ${had} -> ${count}`] : []
  })
  const mappings =
    after.mappings > before.mappings + kept ? [`mappings: ${before.mappings} -> ${after.mappings}`] : []
  const names = after.names.length > before.names.length + kept ? [`names: ${after.names.join()}`] : []
  return [...descriptors, ...mappings, ...names]
}

/** Names of AF_UNIX sockets that sockswitch made, in this network namespace, whoever holds them. */
export function unixNames(): string[] {
  return unixSockets().map(({ name }) => name)
}

/** Files with sockswitch in their name where shared memory or temporary files would be. */
export function strayFiles(): string[] {
  return ['/dev/shm', tmpdir()].flatMap((folder) =>
    readdirOrNothing(folder)
      .filter((name) => name.includes(MARK))
      .map((name) => join(folder, name)),
  )
}

function unixSockets(): { inode: string; name: string }[] {
  // Num RefCount Protocol Flags Type St Inode Path
  return linesOf('/proc/net/unix').flatMap((line) => {
    const [, inode, name] = /^(?:\S+\s+){6}(\d+)\s+(.*)$/.exec(line) ?? []
    return inode !== undefined && name?.includes(MARK) === true ? [{ inode, name }] : []
  })
}

function descriptorLinks(pid: number | 'self'): string[] {
  const folder = `/proc/${pid}/fd`
  return readdirOrNothing(folder).flatMap((fd) => {
    try {
      return [readlinkSync(join(folder, fd))]
    } catch {
      return [] // the descriptor that listed the folder
    }
  })
}

function kindOf(link: string): string {
  if (link.includes(`memfd:${MARK}`)) return `memfd:${MARK}`
  return link.replace(/^anon_inode:\[?(.*?)\]?$/, '$1').replace(/^(socket|pipe):\[\d+\]$/, '$1')
}

function linesOf(path: string): string[] {
  try {
    return readFileSync(path, 'utf8').split('\n')
  } catch {
    return [] // the process is gone
  }
}

function readdirOrNothing(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, loadavg, platform, release, totalmem } from 'node:os'

/** What a reader must know to compare a number with his own. */
export function describeMachine() {
  return {
    node: process.version,
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: `${platform()} ${release()}`,
    /** Runnable processes in the last minute: well below 1 on a quiet machine. */
    loadBefore: loadavg()[0] ?? 0,
  }
}

export type Machine = ReturnType<typeof describeMachine>

export function describeLine(machine: Machine): string {
  return `Node.js ${machine.node}, ${machine.cpu}, ${machine.cores} cores, ${machine.kernel}`
}

/** Shared memory in use on the whole host, in bytes: memory files belong to no process's private memory. */
export function sharedMemoryBytes(): number {
  try {
    const kib = /^Shmem:\s+(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'latin1'))?.[1]
    return Number(kib ?? 0) * 1024
  } catch {
    return 0
  }
}

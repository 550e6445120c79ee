import type { Metric } from './measure.ts'
import { numberIn } from './program.ts'

// The numbers read off a run. CPU is that of both processes, between the same two moments as the work it is divided by.

export const P50: Metric = {
  name: 'p50Us',
  title: 'p50',
  unit: 'us',
  better: 'lower',
  of: ({ result }) => numberIn(result, 'p50Us'),
}

export const P99: Metric = {
  name: 'p99Us',
  title: 'p99',
  unit: 'us',
  better: 'lower',
  of: ({ result }) => numberIn(result, 'p99Us'),
}

export const RATE: Metric = {
  name: 'perSecond',
  title: 'rate',
  unit: 'perSecond',
  better: 'higher',
  of: ({ units, seconds }) => units / seconds,
}

export const THROUGHPUT: Metric = {
  name: 'gbPerSecond',
  title: 'throughput',
  unit: 'GBps',
  better: 'higher',
  of: ({ units, seconds }) => units / seconds,
}

export const CPU_PER_UNIT: Metric = {
  name: 'cpuUsPerUnit',
  title: 'CPU each',
  unit: 'us',
  better: 'lower',
  of: ({ cpuUs, units }) => cpuUs / units,
}

export const CPU_PER_GB: Metric = {
  name: 'cpuMsPerGB',
  title: 'CPU per GB',
  unit: 'ms',
  better: 'lower',
  of: ({ cpuUs, units }) => cpuUs / 1e3 / units,
}

export const IDLE_CPU: Metric = {
  name: 'idleCpuMs',
  title: 'CPU in all',
  unit: 'ms',
  better: 'lower',
  of: ({ cpuUs }) => cpuUs / 1e3,
}

export const MEMORY_PER_CONNECTION: Metric = {
  name: 'bytesPerConnection',
  title: 'memory each',
  unit: 'bytes',
  better: 'lower',
  of: ({ memoryBytes, connections }) => memoryBytes / connections,
}

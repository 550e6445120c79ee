import { gainOf, valueOf, type Comparison } from './compare.ts'
import { formatGain, formatValue } from './format.ts'
import type { Metric } from './measure.ts'
import { IDLE_CPU, MEMORY_PER_CONNECTION, P50, P99, RATE, THROUGHPUT } from './metrics.ts'
import type { Mode } from './modes.ts'

/** What the switch promises of one metric in one mode. */
interface Target {
  readonly text: string
  readonly measure: string
  readonly metric: Metric
  readonly mode: Mode
  readonly promise: Gain | Ceiling
}

/** So many times better than another mode, median over the rounds. */
interface Gain {
  readonly base: Mode
  readonly atLeast: number
  /** A difference that is within what can be measured, in the metric's own unit. */
  readonly allowance?: number
}

interface Ceiling {
  readonly below: number
}

export interface Verdict {
  readonly text: string
  readonly measured: string
  readonly outcome: 'met' | 'not met' | 'not measured'
}

/** Within five seconds, this is a thousandth of one processor. */
const IDLE_ALLOWANCE_MS = 5

/** The least number above one that is still "more than". */
const MORE_THAN_ONE = 1 + Number.EPSILON

const TARGETS: readonly Target[] = [
  switchedGain('64 B round trip, p50: 8x lower than TCP', 'rtt-64', P50, 8),
  switchedGain('64 B round trip, p99: not higher than TCP', 'rtt-64', P99, 1),
  switchedGain('4 KiB round trip, p50: 6x lower than TCP', 'rtt-4k', P50, 6),
  switchedGain('one way, 64 KiB writes: 5x TCP', 'stream-64k', THROUGHPUT, 5),
  switchedGain(
    'one way, 64 KiB writes: more than a Unix socket',
    'stream-64k',
    THROUGHPUT,
    MORE_THAN_ONE,
    'uds',
  ),
  switchedGain('connect, echo, close: 2x TCP', 'connect-1', RATE, 2),
  switchedGain('HTTP, 1 connection: 2x TCP', 'http-1', RATE, 2),
  switchedGain('HTTP, 50 connections: 1.4x TCP', 'http-50', RATE, 1.4),
  ...['https', 'http2', 'h2c'].flatMap((protocol) =>
    [1, 50].map((connections) =>
      switchedGain(
        `${protocol}, ${connections} connection${connections === 1 ? '' : 's'}: not slower than TCP`,
        `${protocol}-${connections}`,
        RATE,
        1,
      ),
    ),
  ),
  ...(['half', 'half-server'] as const).flatMap((mode): Target[] => {
    const who = mode === 'half' ? 'switched client, stock server' : 'stock client, switched server'
    const within = (text: string, measure: string, metric: Metric, atLeast: number): Target => ({
      text: `${who}, ${text}`,
      measure,
      metric,
      mode,
      promise: { base: 'stock', atLeast },
    })
    return [
      within('64 B round trip, p50: within 3 % of TCP', 'half-rtt-64', P50, 0.97),
      within('one way, 64 KiB writes: within 3 % of TCP', 'half-stream-64k', THROUGHPUT, 0.97),
      within('connect, echo, close: within 10 % of TCP', 'half-connect-1', RATE, 0.9),
    ]
  }),
  {
    text: 'WSK echo round trip, 64 B, p50: within 10 % of the net face',
    measure: 'wsk-rtt-64',
    metric: P50,
    mode: 'wsk',
    promise: { base: 'switched', atLeast: 1 / 1.1 },
  },
  {
    text: 'WSK stream, 64 KiB writes: within 10 % of the net face',
    measure: 'wsk-stream-64k',
    metric: THROUGHPUT,
    mode: 'wsk',
    promise: { base: 'switched', atLeast: 0.9 },
  },
  {
    text: '200 idle connections: no more CPU than TCP',
    measure: 'idle-200',
    metric: IDLE_CPU,
    mode: 'switched',
    promise: { base: 'stock', atLeast: 1, allowance: IDLE_ALLOWANCE_MS },
  },
  {
    text: '10,000 idle connections work, below 64 KiB each',
    measure: 'idle-10000',
    metric: MEMORY_PER_CONNECTION,
    mode: 'switched',
    promise: { below: 64 * 1024 },
  },
]

function switchedGain(
  text: string,
  measure: string,
  metric: Metric,
  atLeast: number,
  base: Mode = 'stock',
): Target {
  return { text, measure, metric, mode: 'switched', promise: { base, atLeast } }
}

export function judge(comparisons: readonly Comparison[]): Verdict[] {
  return TARGETS.map((target) => {
    const comparison = comparisons.find(({ measure }) => measure.name === target.measure)
    if (comparison === undefined) return { text: target.text, measured: '', outcome: 'not measured' }
    if (comparison.failure !== undefined) return { text: target.text, measured: 'failed', outcome: 'not met' }
    return { text: target.text, ...judgeOne(target, comparison) }
  })
}

function judgeOne({ metric, mode, promise }: Target, comparison: Comparison): Omit<Verdict, 'text'> {
  const value = valueOf(comparison, metric, mode)
  if (value === undefined) return { measured: '', outcome: 'not measured' }
  if ('below' in promise) {
    return { measured: formatValue(value.median, metric.unit), outcome: met(value.median < promise.below) }
  }
  const base = valueOf(comparison, metric, promise.base)
  const gain = gainOf(comparison, metric, mode, promise.base)
  if (base === undefined || gain === undefined) return { measured: '', outcome: 'not measured' }
  if (promise.allowance === undefined) {
    return { measured: formatGain(gain.median), outcome: met(gain.median >= promise.atLeast) }
  }
  const excess = value.median - base.median
  return {
    measured: `${formatValue(value.median, metric.unit)}, TCP ${formatValue(base.median, metric.unit)}`,
    outcome: met(gain.median >= promise.atLeast || excess <= promise.allowance),
  }
}

function met(yes: boolean): Verdict['outcome'] {
  return yes ? 'met' : 'not met'
}

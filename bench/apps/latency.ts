import { build, type Histogram } from 'hdr-histogram-js'

/** Times in whole nanoseconds, up to one minute, to three digits. */
export function createLatency(): Histogram {
  return build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: 60e9,
    numberOfSignificantValueDigits: 3,
  })
}

/** @param ms An interval as `performance.now()` measures it. */
export function recordMs(latency: Histogram, ms: number): void {
  latency.recordValue(Math.round(ms * 1e6))
}

export function summarize(latency: Histogram) {
  const us = (ns: number) => ns / 1e3
  return {
    count: latency.totalCount,
    minUs: us(latency.minNonZeroValue),
    meanUs: us(latency.mean),
    p50Us: us(latency.getValueAtPercentile(50)),
    p90Us: us(latency.getValueAtPercentile(90)),
    p99Us: us(latency.getValueAtPercentile(99)),
    p999Us: us(latency.getValueAtPercentile(99.9)),
    maxUs: us(latency.maxValue),
  }
}

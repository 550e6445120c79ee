import type { Metric } from './measure.ts'

/** `64 B`, `4 KiB`, `1 MiB`. */
export function formatSize(bytes: number): string {
  const steps = ['B', 'KiB', 'MiB', 'GiB']
  const step = Math.min(steps.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10))
  return `${threeDigits(bytes / 1024 ** step)} ${steps[step]!}`
}

export function formatValue(value: number, unit: Metric['unit']): string {
  switch (unit) {
    case 'us':
      return value >= 10_000 ? `${threeDigits(value / 1e3)} ms` : `${threeDigits(value)} µs`
    case 'ms':
      return `${threeDigits(value)} ms`
    case 'perSecond':
      return `${threeDigits(value)} /s`
    case 'GBps':
      return `${threeDigits(value)} GB/s`
    case 'bytes':
      return formatSize(Math.max(0, Math.round(value)))
  }
}

/** `8.4x`, above 1 meaning better than what it is compared with. */
export function formatGain(gain: number): string {
  return `${gain >= 0.9 && gain < 1.1 ? gain.toFixed(3) : threeDigits(gain)}x`
}

function threeDigits(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en')
  return String(Number(value.toPrecision(3)))
}

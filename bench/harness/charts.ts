import { init, type EChartsOption } from 'echarts'
import { gainOf, valueOf, type Comparison } from './compare.ts'
import { formatSize } from './format.ts'
import type { Metric } from './measure.ts'
import { P50, P99, THROUGHPUT } from './metrics.ts'
import { MODES, type Mode } from './modes.ts'

const WIDTH_PX = 900
const HEIGHT_PX = 420
const HEAD_HEIGHT_PX = 80
const BAR_HEIGHT_PX = 26

const COLOURS: Record<Mode, string> = {
  stock: '#6b7280',
  uds: '#c2740a',
  switched: '#0f766e',
  wsk: '#be185d',
  half: '#7c3aed',
  'half-server': '#2563eb',
}

interface Axis {
  readonly title: string
  readonly name: string
  readonly type: 'log' | 'value'
}

interface Line {
  readonly metric: Metric
  readonly dashed?: boolean
}

/** @returns An SVG document that shows at a glance what switching gains, or undefined where nothing was switched. */
export function chartOfGains(comparisons: readonly Comparison[]): string | undefined {
  const bars = comparisons.flatMap((comparison) => {
    const { metrics, modes } = comparison.measure
    const [metric] = metrics
    const gain = metric && gainOf(comparison, metric, modes.includes('wsk') ? 'wsk' : 'switched', 'stock')
    return gain === undefined ? [] : [{ title: comparison.measure.title, ...gain }]
  })
  if (bars.length === 0) return undefined
  return renderSvg(
    {
      animation: false,
      title: { text: 'Switched against TCP/IP over loopback: times better', left: 'center' },
      textStyle: { fontFamily: 'system-ui, sans-serif' },
      grid: { left: 320, right: 60, top: 50, bottom: 30 },
      yAxis: {
        type: 'category',
        inverse: true,
        data: bars.map(({ title }) => title),
        axisTick: { show: false },
      },
      xAxis: {
        type: 'log',
        min: ({ min }: { min: number }) => (min < 1 ? 0.1 : 1),
        axisLabel: { formatter: '{value}x' },
      },
      series: [
        {
          type: 'bar',
          color: COLOURS.switched,
          barWidth: '60%',
          data: bars.map(({ median }) => median),
          label: {
            show: true,
            position: 'right',
            formatter: ({ value }) => `${Number(value).toPrecision(2)}x`,
          },
        },
      ],
    },
    HEAD_HEIGHT_PX + bars.length * BAR_HEIGHT_PX,
  )
}

/** @returns SVG documents, one per kind of measure that was made at several sizes. */
export function chartsBySize(comparisons: readonly Comparison[]): string[] {
  const latency = comparisons.filter(({ measure }) => measure.group === 'rtt')
  const throughput = comparisons.filter(({ measure }) => measure.group === 'stream')
  return [
    ...chart(latency, { title: 'Round trip by message size', name: 'µs', type: 'log' }, [
      { metric: P50 },
      { metric: P99, dashed: true },
    ]),
    ...chart(throughput, { title: 'One-way throughput by write size', name: 'GB/s', type: 'value' }, [
      { metric: THROUGHPUT },
    ]),
  ]
}

function chart(comparisons: readonly Comparison[], axis: Axis, lines: readonly Line[]): string[] {
  if (comparisons.length < 2) return []
  const modes = comparisons[0]!.measure.modes
  return [
    renderSvg({
      animation: false,
      title: { text: axis.title, left: 'center' },
      legend: { bottom: 0, itemGap: 24 },
      textStyle: { fontFamily: 'system-ui, sans-serif' },
      grid: { left: 70, right: 30, top: 60, bottom: 70 },
      xAxis: { type: 'category', data: comparisons.map(({ measure }) => formatSize(measure.size ?? 0)) },
      yAxis: { type: axis.type, name: axis.name },
      series: modes.flatMap((mode) =>
        lines.map(({ metric, dashed }) => ({
          type: 'line' as const,
          name: lines.length === 1 ? MODES[mode].title : `${MODES[mode].title}, ${metric.title}`,
          color: COLOURS[mode],
          lineStyle: { type: dashed === true ? ('dashed' as const) : ('solid' as const) },
          data: comparisons.map((comparison) => valueOf(comparison, metric, mode)?.median ?? null),
        })),
      ),
    }),
  ]
}

function renderSvg(option: EChartsOption, height = HEIGHT_PX): string {
  const surface = init(null, null, { renderer: 'svg', ssr: true, width: WIDTH_PX, height })
  try {
    surface.setOption(option)
    return surface.renderToSVGString()
  } finally {
    surface.dispose()
  }
}

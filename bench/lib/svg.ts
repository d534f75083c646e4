/** Charts as plain SVG: horizontal bars with their spread, and curves. */
import type { Spread } from './stats.ts'

export interface Bar {
  readonly label: string
  readonly spread: Spread
  /** Drawn apart from the others. */
  readonly isOurs?: boolean
}

export interface BarChart {
  readonly kind: 'bars'
  readonly title: string
  readonly unit: string
  readonly bars: readonly Bar[]
}

export interface Curve {
  readonly label: string
  /** One value for each `at` of the chart. */
  readonly values: readonly number[]
}

export interface CurveChart {
  readonly kind: 'curves'
  readonly title: string
  readonly unit: string
  readonly at: readonly string[]
  readonly curves: readonly Curve[]
}

export type Chart = BarChart | CurveChart

const width = 860
const left = 230
const right = 190
const plotWidth = width - left - right
const rowHeight = 26
const titleHeight = 44
const curveHeight = 220
const colors = ['#1f6feb', '#d1242f', '#1a7f37', '#8250df', '#9a6700']
const otherColor = '#8c959f'

/** All charts below each other in one picture. */
export function drawCharts(charts: readonly Chart[]): string {
  const parts: string[] = []
  let top = 0
  for (const chart of charts) {
    parts.push(`<g transform="translate(0 ${top})">${drawOne(chart)}</g>`)
    top += heightOf(chart)
  }
  const style = 'text{font:13px sans-serif;fill:#1f2328}.title{font-weight:bold;font-size:14px}.small{font-size:11px}'
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${top}" viewBox="0 0 ${width} ${top}">
<style>${style}</style><rect width="100%" height="100%" fill="#fff"/>
${parts.join('\n')}
</svg>
`
}

function heightOf(chart: Chart): number {
  return titleHeight + (chart.kind === 'bars' ? chart.bars.length * rowHeight : curveHeight + 30) + 20
}

function drawOne(chart: Chart): string {
  const title = `<text class="title" x="16" y="26">${escaped(`${chart.title}, ${chart.unit}`)}</text>`
  return title + (chart.kind === 'bars' ? drawBars(chart) : drawCurves(chart))
}

function drawBars({ bars }: BarChart): string {
  const longest = Math.max(...bars.map(({ spread }) => spread.max).filter(Number.isFinite), Number.MIN_VALUE)
  const x = (value: number) => left + (value / longest) * plotWidth
  return bars.map((bar, index) => drawBar(bar, titleHeight + index * rowHeight, x)).join('')
}

/** The bar is the median, the whisker the range, the text both. */
function drawBar({ label, spread, isOurs }: Bar, y: number, x: (value: number) => number): string {
  const { median, min, max } = spread
  const name = `<text x="${left - 8}" y="${y + 15}" text-anchor="end">${escaped(label)}</text>`
  if (!Number.isFinite(median)) return `${name}<text x="${left}" y="${y + 15}">not measured</text>`
  const whisker = `M${x(min)} ${y + 10}H${x(max)}M${x(min)} ${y + 6}v8M${x(max)} ${y + 6}v8`
  const text = min === max ? short(median) : `${short(median)} (${short(min)} – ${short(max)})`
  return [
    name,
    `<rect x="${left}" y="${y}" width="${Math.max(1, x(median) - left)}" height="20" fill="${isOurs ? colors[0] : otherColor}"/>`,
    `<path d="${whisker}" stroke="#1f2328" fill="none"/>`,
    `<text class="small" x="${x(max) + 8}" y="${y + 14}">${escaped(text)}</text>`,
  ].join('')
}

function drawCurves({ at, curves }: CurveChart): string {
  const highest = Math.max(...curves.flatMap(({ values }) => values).filter(Number.isFinite), Number.MIN_VALUE) * 1.1
  const x = (index: number) => 60 + (index / Math.max(1, at.length - 1)) * (width - 280)
  const y = (value: number) => titleHeight + curveHeight - (value / highest) * curveHeight
  const ticks = at.map((text, index) => {
    return `<text class="small" x="${x(index)}" y="${titleHeight + curveHeight + 18}" text-anchor="middle">${escaped(text)}</text>`
  })
  const axis = `<path d="M60 ${titleHeight}V${titleHeight + curveHeight}H${x(at.length - 1)}" stroke="#8c959f" fill="none"/>`
  return (
    axis +
    ticks.join('') +
    curves.map((curve, index) => drawCurve(curve, colors[index % colors.length] ?? '', { x, y, index })).join('')
  )
}

function drawCurve(
  { label, values }: Curve,
  color: string,
  { x, y, index }: { x: (at: number) => number; y: (value: number) => number; index: number },
): string {
  const points = values.map((value, at) => `${x(at)},${y(value)}`)
  const marks = values.map((value, at) => {
    return `<circle cx="${x(at)}" cy="${y(value)}" r="3" fill="${color}"/><text class="small" x="${x(at) + 5}" y="${y(value) - 6}">${short(value)}</text>`
  })
  const name = `<text x="${width - 200}" y="${titleHeight + 16 + index * 20}" style="fill:${color}">${escaped(label)}</text>`
  return `<polyline points="${points.join(' ')}" stroke="${color}" fill="none" stroke-width="2"/>${marks.join('')}${name}`
}

function short(value: number): string {
  if (!Number.isFinite(value)) return '–'
  return value >= 1000 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(3)))
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}

// Formats of quantities. Sizes are binary, as the memory and disks of VMs are.
import type { Progress } from '../lib/api'
import { locale } from './locale'

export const MiB = 1024 ** 2
export const GiB = 1024 ** 3

const whole = new Intl.NumberFormat(locale, { maximumFractionDigits: 0 })
const tenths = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 })
const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']

export function number(n: number, digits = 1): string {
  return (digits ? tenths : whole).format(n)
}

export function bytes(n: number): string {
  if (!Number.isFinite(n) || n < 0) return '–'
  let unit = 0
  while (n >= 1024 && unit < units.length - 1) {
    n /= 1024
    unit++
  }
  return `${n >= 100 || unit === 0 ? whole.format(n) : tenths.format(n)} ${units[unit]}`
}

// duration formats seconds: "8 s", "2 min 5 s", "3 h 20 min", "2 days 4 h".
export function duration(seconds: number): string {
  const s = Math.max(0, Math.floor(seconds))
  const parts: [number, string][] = [
    [Math.floor(s / 86400), s >= 2 * 86400 ? 'days' : 'day'],
    [Math.floor(s / 3600) % 24, 'h'],
    [Math.floor(s / 60) % 60, 'min'],
    [s % 60, 's'],
  ]
  const first = parts.findIndex(([n]) => n > 0)
  if (first < 0) return '0 s'
  return parts
    .slice(first, first + 2)
    .filter(([n]) => n > 0)
    .map(([n, unit]) => `${n} ${unit}`)
    .join(' ')
}

export function time(rfc3339: string): string {
  const at = new Date(rfc3339)
  if (Number.isNaN(at.getTime())) return rfc3339
  return new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' }).format(at)
}

// fraction returns the part of the work that is done, or undefined if it is unknown.
export function fraction(p: Progress): number | undefined {
  return p.total ? Math.min(1, (p.bytes ?? 0) / p.total) : undefined
}

// Phases without a step in words. An engine says nothing about a prune until it has finished.
const phases: Record<string, string> = {
  build: 'Building',
  prune: 'Deleting what is not used; the container engine says how much when it has finished',
}

// step says where the work is: "Step 2 of 7 · image · 120 MiB of 300 MiB (40 %)".
export function step(p: Progress): string {
  const parts = []
  if (p.steps) parts.push(`Step ${p.step ?? 0} of ${p.steps}`)
  if (p.phase) parts.push(phases[p.phase] ?? p.phase)
  const f = fraction(p)
  if (f !== undefined) parts.push(`${bytes(p.bytes ?? 0)} of ${bytes(p.total ?? 0)} (${Math.floor(f * 100)} %)`)
  else if (p.bytes) parts.push(bytes(p.bytes))
  return parts.join(' · ')
}

export function count(n: number, one: string, many = `${one}s`): string {
  return `${whole.format(n)} ${n === 1 ? one : many}`
}

// capital begins a text of the Go side, which may be in the middle of a sentence there, with a capital letter.
export const capital = (text: string) => text.charAt(0).toUpperCase() + text.slice(1)

const steps: [number, string][] = [
  [86400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
]

// since says how long ago something was: "2 hours ago".
export function since(rfc3339: string | undefined, now = Date.now()): string {
  if (!rfc3339) return ''
  const seconds = (now - new Date(rfc3339).getTime()) / 1000
  if (Number.isNaN(seconds)) return ''
  if (seconds > 60 * 86400) return time(rfc3339)
  for (const [size, unit] of steps) if (seconds >= size) return `${count(Math.floor(seconds / size), unit)} ago`
  return 'just now'
}

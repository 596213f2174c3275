// Processors, memory and disk: what can be chosen, and what a choice changes.
import type { Resources } from '../lib/api'
import { bytes, number } from '../ui/format'

export const MiB = 1024 ** 2
export const GiB = 1024 ** 3

export interface Knob {
  field: keyof Resources
  label: string
  unit: number // bytes of one step of the slider, or 1
  shown: { label: string; per: number }
  words: (n: number) => string
}

export const knobs: Knob[] = [
  { field: 'cpus', label: 'Processors', unit: 1, shown: { label: '', per: 1 }, words: (n) => number(n, 0) },
  { field: 'memory', label: 'Memory', unit: 256 * MiB, shown: { label: 'GiB', per: GiB }, words: bytes },
  { field: 'disk', label: 'Disk', unit: GiB, shown: { label: 'GiB', per: GiB }, words: bytes },
]

// grid is where a slider stops: at whole units, however odd the bounds are, which hold all the same.
export function grid(k: Knob, least: number, most: number) {
  return {
    min: Math.floor(least / k.unit) * k.unit,
    max: Math.ceil(most / k.unit) * k.unit,
    snap: (n: number) => Math.min(most, Math.max(least, Math.round(n / k.unit) * k.unit)),
  }
}

export interface Change {
  field: keyof Resources
  label: string
  from: string
  to: string
}

export function changes(from: Resources, to: Resources): Change[] {
  return knobs
    .filter((k) => from[k.field] !== to[k.field])
    .map((k) => ({ field: k.field, label: k.label, from: k.words(from[k.field]), to: k.words(to[k.field]) }))
}

// outside says what is allowed, or nothing if the value is.
export function outside(k: Knob, value: number, least: number, most: number): string | undefined {
  if (Number.isFinite(value) && value >= least && value <= most) return undefined
  return `${k.label} can be ${k.words(least)} to ${k.words(most)} on this computer.`
}

// A first choice for a new VM that leaves the host room.
export function modest(host: { cpus: number; memory: number; disk: number }): {
  first: Resources
  least: Resources
  most: Resources
} {
  const memory = Math.floor(host.memory / (256 * MiB)) * 256 * MiB
  const disk = Math.max(GiB, Math.floor(host.disk / GiB) * GiB)
  const half = Math.max(512 * MiB, Math.floor(memory / 2 / (256 * MiB)) * 256 * MiB)
  return {
    first: { cpus: Math.min(4, host.cpus), memory: Math.min(4 * GiB, half), disk: Math.min(100 * GiB, disk) },
    least: { cpus: 1, memory: Math.min(512 * MiB, memory), disk: GiB },
    most: { cpus: host.cpus, memory, disk },
  }
}

// Processors, memory and disk: what can be chosen, and what a choice changes.
import type { Resources } from '../lib/api'
import { bytes, GiB, MiB, number } from '../ui/format'

export interface Resource {
  field: keyof Resources
  label: string
  step: number // of the slider
  unit: { label: string; size: number } // of the number beside the slider
  format: (n: number) => string
}

export const resources: Resource[] = [
  { field: 'cpus', label: 'Processors', step: 1, unit: { label: '', size: 1 }, format: (n) => number(n, 0) },
  { field: 'memory', label: 'Memory', step: 256 * MiB, unit: { label: 'GiB', size: GiB }, format: bytes },
  { field: 'disk', label: 'Disk', step: GiB, unit: { label: 'GiB', size: GiB }, format: bytes },
]

export interface Bounds {
  least: Resources
  most: Resources
}

// changes lists what a change of resources would change.
export function changes(from: Resources, to: Resources) {
  return resources
    .filter((r) => from[r.field] !== to[r.field])
    .map((r) => ({ field: r.field, label: r.label, from: r.format(from[r.field]), to: r.format(to[r.field]) }))
}

// outOfRange says what is allowed if the value is not.
export function outOfRange({ field, label, format }: Resource, value: Resources, b: Bounds): string | undefined {
  if (value[field] >= b.least[field] && value[field] <= b.most[field]) return undefined // false for NaN
  return `${label} must be between ${format(b.least[field])} and ${format(b.most[field])}.`
}

// suggested returns resources for a new VM that leave room for the host, and their bounds.
export function suggested(host: Resources) {
  const memory = Math.floor(host.memory / (256 * MiB)) * 256 * MiB
  const disk = Math.max(GiB, Math.floor(host.disk / GiB) * GiB)
  const half = Math.max(512 * MiB, Math.floor(memory / 2 / (256 * MiB)) * 256 * MiB)
  return {
    first: { cpus: Math.min(4, host.cpus), memory: Math.min(4 * GiB, half), disk: Math.min(100 * GiB, disk) },
    least: { cpus: 1, memory: Math.min(512 * MiB, memory), disk: GiB },
    most: { cpus: host.cpus, memory, disk },
  }
}

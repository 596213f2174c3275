// The CPU, memory and disk usage of the service and the VMs over time. It is polled only while a chart is visible.
import { createContext } from 'svelte'
import type { Usage } from '../lib/api'
import type { Remote } from '../lib/transport'
import { Poll, type Sample } from './poll.svelte'

export const [useUsage, provideUsage] = createContext<UsageHistory>()

export class UsageHistory extends Poll<Usage[]> {
  constructor(remote: Remote) {
    super(() => remote.call('usage', {}))
  }
}

export type Total = Omit<Usage, 'name'>

// total sums a sample, of everything or of one VM.
export function total(sample: Sample<Usage[]>, vm?: string): Total | undefined {
  if (!sample.value) return undefined
  const of = sample.value.filter((u) => vm === undefined || u.name === vm)
  const sum = (field: keyof Total) => of.reduce((n, u) => n + u[field], 0)
  return { cpu: sum('cpu'), memory: sum('memory'), disk: sum('disk'), max: sum('max') }
}

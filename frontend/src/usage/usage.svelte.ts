// The CPU, memory and disk usage of the service and the VMs over time. It is polled only while a chart is visible.
import { createContext } from 'svelte'
import type { Usage } from '../lib/api'
import type { Remote } from '../lib/transport'

export const [useUsage, provideUsage] = createContext<UsageHistory>()

export interface Sample {
  at: number // seconds, of the wall clock
  usage?: Usage[] // undefined: unknown, so the line has a gap
}

const pollInterval = 2000 // ms
const maxSamples = 150 // five minutes

export class UsageHistory {
  samples = $state.raw<Sample[]>([])
  #watchers = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #asking = false

  constructor(private remote: Remote) {
    document.addEventListener('visibilitychange', () => this.#schedule(0))
  }

  // watch polls until the returned function is called.
  watch(): () => void {
    this.#watchers++
    this.#schedule(0)
    return () => {
      this.#watchers--
      if (this.#watchers === 0) clearTimeout(this.#timer)
    }
  }

  // A pause without polling is a gap, too.
  #add(usage: Usage[] | undefined) {
    const at = Date.now() / 1000
    const last = this.samples.at(-1)
    const gap = last && at - last.at > (3 * pollInterval) / 1000 ? [{ at: last.at + 1 }] : []
    this.samples = [...this.samples, ...gap, { at, usage }].slice(-maxSamples)
  }

  #schedule(wait: number) {
    clearTimeout(this.#timer)
    if (this.#watchers === 0 || document.visibilityState === 'hidden') return
    this.#timer = setTimeout(() => void this.#ask(), wait)
  }

  async #ask() {
    if (this.#asking) return
    this.#asking = true
    try {
      this.#add(await this.remote.call('usage', {}))
    } catch {
      this.#add(undefined) // The banner says why.
    } finally {
      this.#asking = false
      this.#schedule(pollInterval)
    }
  }
}

export type Total = Omit<Usage, 'name'>

// total sums a sample, of everything or of one VM.
export function total(sample: Sample, vm?: string): Total | undefined {
  if (!sample.usage) return undefined
  const of = sample.usage.filter((u) => vm === undefined || u.name === vm)
  const sum = (field: keyof Total) => of.reduce((n, u) => n + u[field], 0)
  return { cpu: sum('cpu'), memory: sum('memory'), disk: sum('disk'), max: sum('max') }
}

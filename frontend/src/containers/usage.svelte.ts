// What containers use now. Asked only while a list or a chart shows it.
import type { ContainerUsage } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import { maxSamples, Poll } from '../usage/poll.svelte'

const settleTime = 200 // ms; whoever scrolls asks once

export class ContainerUsages extends Poll<ContainerUsage[]> {
  #ids: string[] = []

  constructor(store: Store, keep = maxSamples) {
    super(async () => (this.#ids.length ? store.call('container.usage', { ids: this.#ids }) : []), keep)
  }

  readonly latest: Record<string, ContainerUsage | undefined> = $derived(
    Object.fromEntries((this.samples.at(-1)?.value ?? []).map((u) => [u.id, u])),
  )

  // of says which containers are asked about.
  of(ids: string[]) {
    if (ids.length === this.#ids.length && ids.every((id, i) => id === this.#ids[i])) return
    const more = ids.some((id) => !this.#ids.includes(id))
    this.#ids = ids
    if (more) this.soon(settleTime)
  }
}

// rates turns counters that only grow into what they grow by in a second.
export function rates(samples: readonly { at: number; value?: number }[]): (number | null)[] {
  return samples.map(({ at, value }, i) => {
    const before = samples[i - 1]
    if (value === undefined || before?.value === undefined || value < before.value) return null
    return (value - before.value) / (at - before.at)
  })
}

// Calls that do something with several objects of the engine. What the engine refuses is shown on the page that asked.
import { SvelteMap } from 'svelte/reactivity'
import type { Failure } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import { problemOf } from '../lib/transport'
import type { UI } from '../lib/ui.svelte'
import { count } from '../ui/format'

export interface Refused {
  what: string // a verb
  kind: string // of the objects
  failures: Failure[]
}

export class Attempts {
  // What is being done with an object until the engine has answered, by its ID.
  readonly doing = new SvelteMap<string, string>()
  refused = $state.raw<Refused>()

  constructor(
    protected store: Store,
    protected ui: UI,
    private kind: string,
  ) {}

  // attempt returns whether nothing was refused.
  async attempt(what: string, doing: string, ids: string[], call: () => Promise<Failure[]>): Promise<boolean> {
    if (ids.length === 0) return false
    this.refused = undefined
    for (const id of ids) this.doing.set(id, doing)
    try {
      const failures = await call()
      if (failures.length) this.refused = { what, kind: this.kind, failures }
      return failures.length === 0
    } catch (e) {
      this.ui.failure = { what: `${what} ${count(ids.length, this.kind)}`, problem: problemOf(e) }
      return false
    } finally {
      for (const id of ids) this.doing.delete(id)
    }
  }
}

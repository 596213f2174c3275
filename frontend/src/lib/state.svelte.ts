// What the page knows: the last State, whether there is anybody to ask, and what diagnostics found.
// Views draw from it alone, never from what they think they just did.
import { createContext } from 'svelte'
import type { Operation, Ref, Report, State, VM } from './api'
import { Streams } from './streams'
import { apply } from './theme'
import { problemOf, type Link, type Method, type Params, type Remote, type Result } from './transport'

export const [useStore, provideStore] = createContext<Store>()

export class Store {
  state = $state.raw<State>()
  link = $state<Link>('connecting')
  epoch = $state(0) // grows whenever the connection comes back: streams are opened anew then
  now = $state(0)
  report = $state.raw<Report>()
  checking = $state(false)
  reportProblem = $state.raw<ReturnType<typeof problemOf>>()
  // The service ended while this page was open, and nobody here asked it to.
  ended = $state(false)

  readonly streams: Streams
  #received = 0
  #ticker: ReturnType<typeof setInterval> | undefined
  #undo: (() => void)[] = []

  constructor(readonly remote: Remote) {
    this.streams = new Streams(remote)
    this.#undo = [
      remote.on('state', (state) => this.#take(state)),
      remote.on('link', (link) => {
        if (link === 'up') this.epoch++
        this.link = link
      }),
    ]
  }

  readonly operations = $derived(this.state?.operations ?? [])
  readonly vms = $derived(this.state?.vms ?? [])
  readonly readOnly = $derived(this.state?.readOnly ?? false)
  readonly serviceUp = $derived(this.link === 'up' && this.state?.service.state === 'running')
  readonly busyService = $derived(
    this.operations.some((o) => o.verb.endsWith('-service') && (o.state === 'running' || o.state === 'overdue')),
  )
  readonly findings = $derived((this.report?.findings ?? []).filter((f) => f.severity !== 'ok'))

  call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    return this.remote.call(method, params)
  }

  vm(name: string): VM | undefined {
    return this.vms.find((vm) => vm.name === name)
  }

  operation(id: string | undefined): Operation | undefined {
    return this.operations.find((o) => o.id === id)
  }

  // elapsed goes on by itself between two states.
  elapsed(o: Operation): number {
    return o.progress.elapsed + (pending(o) ? Math.max(0, (this.now - this.#received) / 1000) : 0)
  }

  async diagnose() {
    if (this.checking) return
    this.checking = true
    try {
      this.report = await this.call('diagnose', {})
      this.reportProblem = undefined
    } catch (e) {
      this.reportProblem = problemOf(e)
    } finally {
      this.checking = false
    }
  }

  async openInstance(name: string) {
    this.#take(await this.call('instance.open', { name }))
    this.report = undefined
    this.epoch++
    void this.diagnose()
  }

  close() {
    clearInterval(this.#ticker)
    for (const undo of this.#undo) undo()
  }

  #take(state: State) {
    const before = this.state
    this.#received = this.now = performance.now()
    if (before?.settings.theme !== state.settings.theme) apply(state.settings.theme)
    this.ended = endedByItself(this.ended, before, state)
    this.state = state
    const ticking = state.operations.some(pending)
    if (ticking && !this.#ticker) this.#ticker = setInterval(() => (this.now = performance.now()), 1000)
    if (!ticking) {
      clearInterval(this.#ticker)
      this.#ticker = undefined
    }
  }
}

export type { Ref }

export const pending = (o: Operation) => o.state === 'running' || o.state === 'overdue'

export function endedByItself(already: boolean, before: State | undefined, after: State): boolean {
  const state = after.service.state
  if (before && before.instance !== after.instance) return false
  if (state === 'running' || state === 'starting' || state === 'stopping') return false
  const asked = after.operations.some((o) => o.verb.endsWith('-service') && o.verb !== 'start-service')
  if (already) return !asked
  return before?.service.state === 'running' && !asked
}

// What the page knows: the last State, the connection, and the findings of diagnostics. Views draw from it alone,
// never from what they think they just did.
import { createContext } from 'svelte'
import type { Operation, Report, State, VM } from './api'
import { Engine } from './engine.svelte'
import { Streams } from './streams'
import { apply } from '../ui/theme'
import { problemOf, type Link, type Method, type Params, type Remote, type Result } from './transport'

export const [useStore, provideStore] = createContext<Store>()

export class Store {
  state = $state.raw<State>()
  link = $state<Link>('connecting')
  epoch = $state(0) // counts the connections; streams are opened again for each
  now = $state(0)
  report = $state.raw<Report>()
  checking = $state(false)
  reportProblem = $state.raw<ReturnType<typeof problemOf>>()
  // The service stopped while this page was open, and nobody here asked it to.
  ended = $state(false)

  readonly engine = new Engine()
  readonly streams: Streams
  #received = 0
  #ticker: ReturnType<typeof setInterval> | undefined
  #undo: (() => void)[] = []
  #again = false // diagnostics were requested while they ran
  #waiting: { id: string; seen: boolean; end: (done: boolean) => void }[] = []

  constructor(readonly remote: Remote) {
    this.streams = new Streams(remote)
    this.#undo = [
      remote.on('state', (state) => this.#take(state)),
      remote.on('engine', (event) => this.engine.take(event)),
      remote.on('link', (link) => {
        if (link === 'up') this.epoch++
        this.link = link
      }),
    ]
  }

  readonly operations = $derived(this.state?.operations ?? [])
  readonly app = $derived(this.state?.app)
  readonly ports = $derived(this.app?.ports ?? [])
  // The engine is containerd, which can't do for RDD all that docker's engine can. nerdctl does the rest.
  readonly containerd = $derived(this.app?.engine.name === 'containerd')
  readonly vms = $derived(this.state?.vms ?? [])
  readonly readOnly = $derived(this.state?.readOnly ?? false)
  readonly serviceUp = $derived(this.link === 'up' && this.state?.service.state === 'running')
  readonly canChange = $derived(this.serviceUp && !this.readOnly) // VMs can be changed
  // The engine answers, so its objects can be changed.
  readonly canUseEngine = $derived(this.canChange && this.engine.known)
  readonly busyService = $derived(this.operations.some((o) => o.verb.endsWith('-service') && pending(o)))
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

  // elapsed keeps counting between two States.
  elapsed(o: Operation): number {
    return o.progress.elapsed + (pending(o) ? this.#sinceState() : 0)
  }

  // vmElapsed is the same for the current step of a VM, whoever began it.
  vmElapsed(vm: VM): number {
    return vm.progress ? vm.progress.elapsed + this.#sinceState() : 0
  }

  // appElapsed is the same for the App.
  appElapsed(): number {
    const progress = this.app?.progress
    return progress ? progress.elapsed + this.#sinceState() : 0
  }

  #sinceState(): number {
    return Math.max(0, (this.now - this.#received) / 1000)
  }

  async diagnose() {
    this.#again = true
    if (this.checking) return
    this.checking = true
    while (this.#again) {
      this.#again = false
      try {
        this.report = await this.call('diagnose', {})
        this.reportProblem = undefined
      } catch (e) {
        this.reportProblem = problemOf(e)
      }
    }
    this.checking = false
  }

  // settled waits for the end of an operation, and returns whether it succeeded.
  settled(id: string): Promise<boolean> {
    return new Promise((end) => {
      this.#waiting.push({ id, seen: false, end })
      this.#settle(this.operations)
    })
  }

  // An operation that is not in the State yet has just begun. One that is gone from it (dismissed, or of another
  // instance) does not count as succeeded.
  #settle(operations: Operation[]) {
    this.#waiting = this.#waiting.filter((w) => {
      const o = operations.find((o) => o.id === w.id)
      if (o ? pending(o) : !w.seen) {
        w.seen ||= !!o
        return true
      }
      w.end(o?.state === 'done')
      return false
    })
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
    for (const w of this.#waiting.splice(0)) w.end(false)
  }

  #take(state: State) {
    const before = this.state
    this.#received = this.now = performance.now()
    if (before?.settings.theme !== state.settings.theme) apply(state.settings.theme)
    this.ended = endedByItself(this.ended, before, state)
    this.state = state
    this.#settle(state.operations)
    const ticking = state.operations.some(pending) || state.vms.some((vm) => vm.progress) || !!state.app?.progress
    if (ticking && !this.#ticker) this.#ticker = setInterval(() => (this.now = performance.now()), 1000)
    if (!ticking) {
      clearInterval(this.#ticker)
      this.#ticker = undefined
    }
  }
}

export const pending = (o: Operation) => o.state === 'running' || o.state === 'overdue'

export function endedByItself(already: boolean, before: State | undefined, after: State): boolean {
  const state = after.service.state
  if (before && before.instance !== after.instance) return false
  if (state === 'running' || state === 'starting' || state === 'stopping') return false
  const asked = after.operations.some((o) => o.verb.endsWith('-service') && o.verb !== 'start-service')
  if (already) return !asked
  return before?.service.state === 'running' && !asked
}

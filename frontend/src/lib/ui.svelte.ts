// What the window shows: the page, the open dialog, and the operation that a click began.
import { createContext, untrack } from 'svelte'
import type { Problem, Ref } from './api'
import type { Route } from './route'
import type { Store } from './store.svelte'
import { problemOf, type Request } from './transport'

export const [useUI, provideUI] = createContext<UI>()

export interface Confirmation {
  title: string
  text: string
  keeps?: string[]
  loses?: string[]
  type?: string // what the user must type to confirm
  check?: string // an option beside the buttons
  action: string // the label of the button
  run: (checked: boolean) => void
}

const progressDialogDelay = 500 // ms; an operation that ends sooner shows no dialog

export class UI {
  route = $state.raw<Route>({ page: '' })
  dialog = $state<'create' | 'shortcuts' | 'bundle' | 'quit' | 'create-volume' | 'create-network'>()
  confirmation = $state.raw<Confirmation>()
  failure = $state.raw<{ what: string; problem: Problem }>() // “Could not” and what
  shown = $state<string>() // the operation whose dialog is open
  progressDelayed = $state(false)
  announcement = $state('')
  #timer: ReturnType<typeof setTimeout> | undefined
  #own = $state(0)

  // The user has opened a dialog and may be typing in it. One that would open by itself waits.
  readonly occupied = $derived(this.#own > 0)

  constructor(private store: Store) {}

  // opened counts a dialog that the user has opened, until the function that it returns is called.
  opened(): () => void {
    const add = (n: number) => untrack(() => (this.#own += n))
    add(1)
    return () => add(-1)
  }

  go(href: string) {
    window.location.hash = href
  }

  // act begins an operation. It shows the progress if that takes long, or why it could not begin. The argument what is a
  // verb phrase, such as “start web”.
  async act(what: string, call: () => Promise<Ref>): Promise<Ref | undefined> {
    const ref = await this.attempt(what, call)
    if (ref) this.follow(ref.operation)
    return ref
  }

  // finish is act that waits for the end of the operation, and returns whether it succeeded.
  async finish(what: string, call: () => Promise<Ref>): Promise<boolean> {
    const ref = await this.act(what, call)
    return !!ref && this.store.settled(ref.operation)
  }

  // attempt is act for a call that begins no operation.
  async attempt<T>(what: string, call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call()
    } catch (e) {
      this.failure = { what, problem: problemOf(e) }
      return undefined
    }
  }

  follow(id: string) {
    this.shown = id
    this.progressDelayed = true
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => (this.progressDelayed = false), progressDialogDelay)
  }

  // show opens the dialog of an operation that was sent to the background.
  show(id: string) {
    this.shown = id
    this.progressDelayed = false
    if (this.store.operation(id)?.background)
      void this.attempt('show the progress', () => this.store.call('operation.background', { id, background: false }))
  }

  background(id: string) {
    this.shown = undefined
    void this.attempt('run it in the background', () =>
      this.store.call('operation.background', { id, background: true }),
    )
  }

  dismiss(id: string) {
    if (this.shown === id) this.shown = undefined
    void this.attempt('dismiss the operation', () => this.store.call('operation.dismiss', { id }))
  }

  open(request: Request) {
    if (request.page) this.go(`#/${request.page}`)
    if (request.operation) this.show(request.operation)
    if (request.ask === 'quit') this.dialog = 'quit'
  }
}

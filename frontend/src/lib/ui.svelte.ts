// What is shown where: the page, its dialogs, and what a click began.
import { createContext } from 'svelte'
import type { Problem, Ref } from './api'
import type { Store } from './store.svelte'
import { problemOf, type Request } from './transport'

export const [useUI, provideUI] = createContext<UI>()

export const pages = [
  { id: 'overview', title: 'Overview' },
  { id: 'machines', title: 'Virtual machines' },
  { id: 'diagnostics', title: 'Diagnostics' },
  { id: 'settings', title: 'Settings' },
  { id: 'troubleshooting', title: 'Troubleshooting' },
] as const
export type PageID = (typeof pages)[number]['id']

export const tabs = ['summary', 'resources', 'parameters', 'template', 'logs', 'shell'] as const
export type Tab = (typeof tabs)[number]

export interface Confirmation {
  title: string
  text: string
  keeps?: string[]
  loses?: string[]
  type?: string // what must be typed before it can be done
  action: string // the button's words
  run: () => void
}

export interface Route {
  page: PageID
  vm?: string
  tab: Tab
}

// #/machines/NAME/TAB; anything else is the overview.
export function parse(hash: string): Route {
  const [page, vm, tab] = hash.replace(/^#\/?/, '').split('/').map(decode)
  const known = pages.find((p) => p.id === page)?.id ?? 'overview'
  return {
    page: known,
    vm: known === 'machines' && vm ? vm : undefined,
    tab: tabs.find((t) => t === tab) ?? 'summary',
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

export const pageHref = (page: PageID) => `#/${page}`
export const vmHref = (name: string, tab: Tab = 'summary') =>
  `#/machines/${encodeURIComponent(name)}${tab === 'summary' ? '' : `/${tab}`}`

const patience = 500 // ms: what is done sooner shows no dialog

export class UI {
  route = $state.raw<Route>(parse(''))
  dialog = $state<'create' | 'shortcuts' | 'bundle' | 'quit'>()
  confirmation = $state.raw<Confirmation>()
  failure = $state.raw<{ title: string; problem: Problem }>()
  shown = $state<string>() // the operation whose dialog is open
  patient = $state(false)
  announcement = $state('')
  #timer: ReturnType<typeof setTimeout> | undefined

  constructor(private store: Store) {}

  go(href: string) {
    window.location.hash = href
  }

  // act does what a click asks for, and shows its progress if it takes long, or why it didn't begin.
  async act(title: string, call: () => Promise<Ref>): Promise<Ref | undefined> {
    try {
      const ref = await call()
      this.follow(ref.operation)
      return ref
    } catch (e) {
      this.failure = { title, problem: problemOf(e) }
      return undefined
    }
  }

  // finish is act that waits for the end, and says whether it was done.
  async finish(title: string, call: () => Promise<Ref>): Promise<boolean> {
    const ref = await this.act(title, call)
    return !!ref && this.store.settled(ref.operation)
  }

  // attempt is act for what is done at once.
  async attempt<T>(title: string, call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call()
    } catch (e) {
      this.failure = { title, problem: problemOf(e) }
      return undefined
    }
  }

  follow(id: string) {
    this.shown = id
    this.patient = true
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => (this.patient = false), patience)
  }

  // show opens the dialog of an operation that was sent to the background.
  show(id: string) {
    this.shown = id
    this.patient = false
    if (this.store.operation(id)?.background)
      void this.attempt('Show the progress', () => this.store.call('operation.background', { id, background: false }))
  }

  background(id: string) {
    this.shown = undefined
    void this.attempt('Send to the background', () => this.store.call('operation.background', { id, background: true }))
  }

  dismiss(id: string) {
    if (this.shown === id) this.shown = undefined
    void this.attempt('Close', () => this.store.call('operation.dismiss', { id }))
  }

  open(request: Request) {
    if (request.page) this.go(`#/${request.page}`)
    if (request.operation) this.show(request.operation)
    if (request.ask === 'quit') this.dialog = 'quit'
  }

  say(text: string) {
    this.announcement = text
  }
}

// requested is what the address asks for, as #ask=quit or #operation=ID&page=NAME.
export function requested(hash: string): Request | undefined {
  if (!hash.includes('=')) return undefined
  const q = new URLSearchParams(hash.slice(1))
  const request: Request = {}
  for (const key of ['ask', 'operation', 'page'] as const) {
    const value = q.get(key)
    if (value) request[key] = value
  }
  return Object.keys(request).length ? request : undefined
}

// The connection to the Go side (package app/page). Every method is call(method, parameters) -> result; a failed
// call gives {error: Problem} and nothing else. Inside the window calls go over Wails' bridge: one bound method
// Call(method, JSON) and the events "state", "engine", "stream" and "open". In a browser they are POST /api/call/METHOD, and
// the events come over one stream, GET /api/events; the session is a cookie that the address of `rdd dashboard`
// was exchanged for.
import { EventSourceParserStream } from 'eventsource-parser/stream'
import type { EngineEvent, Methods, Problem, State, Stream } from './api'

export type Method = keyof Methods
export type Params<M extends Method> = Methods[M][0]
export type Result<M extends Method> = Methods[M][1]

// connecting: no answer yet; lost: reconnecting; refused: the session has ended.
export type Link = 'connecting' | 'up' | 'lost' | 'refused'

// What the page should show first: rdd-window --ask quit, --operation ID, --page NAME.
export interface Request {
  ask?: string
  operation?: string
  page?: string
}

export interface Events {
  state: State
  engine: EngineEvent
  stream: Stream
  link: Link
  open: Request
}

export interface Remote {
  call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>>
  on<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): () => void
  start(): void
  close(): void
}

export class CallError extends Error {
  constructor(readonly problem: Problem) {
    super(problem.message)
  }
}

// problemOf turns a thrown value into a problem that can be shown.
export function problemOf(thrown: unknown): Problem {
  if (thrown instanceof CallError) return thrown.problem
  return { kind: 'other', message: thrown instanceof Error ? thrown.message : String(thrown) }
}

export class Emitter {
  #listeners = new Set<{ event: keyof Events; listener: (value: never) => void }>()

  on<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): () => void {
    const entry = { event, listener }
    this.#listeners.add(entry)
    return () => this.#listeners.delete(entry)
  }

  emit<E extends keyof Events>(event: E, value: Events[E]) {
    for (const to of this.#listeners) if (to.event === event) to.listener(value as never)
  }
}

interface Bridge {
  call: (method: string, params: string) => Promise<unknown>
  on: (event: string, listener: (...data: unknown[]) => void) => unknown
}

// Wails puts what Go binds under window.go.PACKAGE.TYPE; ours is the only type with a Call.
function bridge(w: Window): Bridge | undefined {
  const { go, runtime } = w as unknown as {
    go?: Record<string, Record<string, { Call?: Bridge['call'] }>>
    runtime?: { EventsOn: Bridge['on'] }
  }
  const call = Object.values(go ?? {})
    .flatMap((types) => Object.values(types))
    .find((type) => type.Call)?.Call
  return call && runtime ? { call, on: runtime.EventsOn } : undefined
}

const parsed = (data: unknown) => (typeof data === 'string' && data !== '' ? JSON.parse(data) : data)
const lostProblem: Problem = {
  kind: 'other',
  message: 'RDD is not responding.',
  advice: 'The window or `rdd dashboard` was closed or is restarting. This page reconnects automatically.',
}

export class Transport implements Remote {
  #events = new Emitter()
  #bridge = bridge(window)
  #link: Link = 'connecting'
  #closed = new AbortController()
  #retry = 0
  #wake: () => void = () => {}

  on<E extends keyof Events>(event: E, listener: (value: Events[E]) => void) {
    return this.#events.on(event, listener)
  }

  start() {
    if (this.#bridge) {
      void this.#attach(this.#bridge)
      return
    }
    window.addEventListener('online', () => this.#wake(), { signal: this.#closed.signal })
    document.addEventListener('visibilitychange', () => this.#wake(), { signal: this.#closed.signal })
    void this.#listen()
  }

  close() {
    this.#closed.abort()
  }

  async call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    const result = this.#bridge
      ? parsed(await this.#bridge.call(method, JSON.stringify(params)))
      : await this.#post(method, params)
    if (failed(result)) throw new CallError(result.error)
    return result as Result<M>
  }

  async #attach(b: Bridge) {
    for (const event of ['state', 'engine', 'stream', 'open'] as const)
      b.on(event, (data) => this.#events.emit(event, parsed(data) as never))
    try {
      const state = await this.call('state', {})
      this.#set('up')
      this.#events.emit('state', state)
    } catch (e) {
      console.error(problemOf(e).message)
      this.#set('lost')
    }
  }

  async #post(method: string, params: unknown): Promise<unknown> {
    let response: Response
    try {
      response = await fetch(`/api/call/${method}`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(params),
      })
    } catch {
      throw new CallError(lostProblem)
    }
    if (response.status === 401) this.#set('refused')
    const body = await response.text()
    try {
      return body ? JSON.parse(body) : {}
    } catch {
      throw new CallError({ kind: 'other', message: `RDD answered ${response.status}: ${body.slice(0, 200)}` })
    }
  }

  // Listens to one stream at a time, for as long as the page is open. It uses fetch because EventSource hides the
  // status: the page must not reconnect forever after its session has ended.
  async #listen() {
    while (!this.#over()) {
      try {
        await this.#read()
      } catch {
        // The reason does not matter: the page reconnects.
      }
      if (this.#over()) return
      this.#set('lost')
      const wait = Math.min(5000, 200 * 2 ** this.#retry++)
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        setTimeout(resolve, wait)
      })
    }
  }

  #over() {
    return this.#closed.signal.aborted || this.#link === 'refused'
  }

  async #read() {
    const response = await fetch('/api/events', {
      headers: { Accept: 'text/event-stream' },
      signal: this.#closed.signal,
    })
    if (response.status === 401 || response.status === 403) return this.#set('refused')
    if (!response.ok || !response.body) return
    const events = response.body
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream())
      .getReader()
    for (;;) {
      const { done, value } = await events.read()
      if (done) return
      this.#retry = 0
      this.#set('up')
      const { event, data } = value
      if (event === 'state' || event === 'engine' || event === 'stream') this.#events.emit(event, parsed(data))
    }
  }

  #set(link: Link) {
    if (this.#link === link || this.#link === 'refused') return
    this.#link = link
    this.#events.emit('link', link)
  }
}

// A failed call gives {error} and nothing else; a State may have an error among other fields.
function failed(result: unknown): result is { error: Problem } {
  return typeof result === 'object' && result !== null && 'error' in result && Object.keys(result).length === 1
}

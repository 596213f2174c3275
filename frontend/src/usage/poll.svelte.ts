// Asks for a value again and again, for as long as somebody watches and the page is visible.

export interface Sample<T> {
  at: number // seconds, of the wall clock
  value?: T // undefined: unknown, so a line has a gap
}

const pollInterval = 2000 // ms
export const maxSamples = 150 // five minutes

export class Poll<T> {
  samples = $state.raw<Sample<T>[]>([])
  #watchers = 0
  #timer: ReturnType<typeof setTimeout> | undefined
  #asking = false
  #again = false // somebody wants an answer at once

  constructor(
    private ask: () => Promise<T>,
    private keep = maxSamples,
  ) {}

  // watch polls until the returned function is called.
  watch(): () => void {
    if (this.#watchers++ === 0) document.addEventListener('visibilitychange', this.#seen)
    this.soon()
    return () => {
      if (--this.#watchers > 0) return
      clearTimeout(this.#timer)
      document.removeEventListener('visibilitychange', this.#seen)
    }
  }

  #seen = () => this.soon()

  // soon asks without waiting for the next turn, for a question that has changed.
  soon(wait = 0) {
    this.#again = this.#asking
    this.#schedule(wait)
  }

  // A pause without polling is a gap, too.
  #add(value: T | undefined) {
    const at = Date.now() / 1000
    const last = this.samples.at(-1)
    const gap = last && at - last.at > (3 * pollInterval) / 1000 ? [{ at: last.at + 1 }] : []
    this.samples = [...this.samples, ...gap, { at, value }].slice(-this.keep)
  }

  #schedule(wait: number) {
    clearTimeout(this.#timer)
    if (this.#watchers === 0 || document.visibilityState === 'hidden') return
    this.#timer = setTimeout(() => void this.#poll(), wait)
  }

  async #poll() {
    if (this.#asking) return
    this.#asking = true
    try {
      this.#add(await this.ask())
    } catch {
      this.#add(undefined) // The banner says why.
    } finally {
      this.#asking = false
      this.#schedule(this.#again ? 0 : pollInterval)
      this.#again = false
    }
  }
}

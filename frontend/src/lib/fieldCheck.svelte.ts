// What is wrong with the fields of a form, asked of the Go side while the user types.
import type { FieldProblem, Problem } from './api'
import { problemOf } from './transport'

const checkDelay = 300 // ms after the last key

export class FieldCheck {
  problems = $state.raw<FieldProblem[]>([])
  failure = $state.raw<Problem>() // why it could not be checked
  #asked = 0

  readonly ok = $derived(this.problems.length === 0)

  // message returns what is wrong with a field: the first problem of it.
  message(field: string): string | undefined {
    return this.problems.find((p) => p.field === field)?.message
  }

  // later asks once the user pauses. It is for effects: it returns a function that takes the question back.
  later(ask: () => Promise<FieldProblem[]>): () => void {
    const timer = setTimeout(() => this.now(ask).catch((e) => (this.failure = problemOf(e))), checkDelay)
    return () => clearTimeout(timer)
  }

  // now asks, and returns whether nothing is wrong. An answer is not shown if a newer question was asked meanwhile.
  async now(ask: () => Promise<FieldProblem[]>): Promise<boolean> {
    const asked = ++this.#asked
    const problems = await ask()
    if (asked === this.#asked) this.show(problems)
    return problems.length === 0
  }

  show(problems: FieldProblem[]) {
    this.problems = problems
    this.failure = undefined
  }

  // clear forgets what was found, and the answers to come.
  clear() {
    this.#asked++
    this.show([])
  }
}

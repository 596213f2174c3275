// Checks the fields of a form on the Go side while the user types.
import type { FieldProblem, Problem } from './api'
import { problemOf } from './transport'

const checkDelay = 300 // ms after the last key

export class FieldCheck {
  problems = $state.raw<FieldProblem[]>([])
  failure = $state.raw<Problem>() // why it could not be checked
  #asked = 0

  readonly ok = $derived(this.problems.length === 0)

  // message returns the first problem of a field.
  message(field: string): string | undefined {
    return this.problems.find((p) => p.field === field)?.message
  }

  // later asks when the user pauses. It is for effects: it returns a function that cancels the question.
  later(ask: () => Promise<FieldProblem[]>): () => void {
    const timer = setTimeout(() => this.now(ask).catch((e) => (this.failure = problemOf(e))), checkDelay)
    return () => clearTimeout(timer)
  }

  // now asks at once, and returns whether there are no problems. Only the answer to the newest question is shown.
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

  // clear removes the problems, and ignores answers that are still to come.
  clear() {
    this.#asked++
    this.show([])
  }
}

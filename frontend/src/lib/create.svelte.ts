// The form for a new VM. What it holds is checked by the Go side as it is typed, and sent only when it is right.
import type { FieldProblem, Methods, Problem, Ref, Resources, TemplateInfo } from './api'
import { knobs, modest, outside } from './resources'
import type { Store } from './state.svelte'
import { CallError, problemOf } from './transport'

const pause = 300 // ms after the last key
const shownFields = ['name', 'template', 'cpus', 'memory', 'disk', 'params']

export class Form {
  name = $state('')
  template = $state('')
  text = $state('')
  custom = $state(false)
  sized = $state(false)
  resources = $state.raw<Resources>({ cpus: 0, memory: 0, disk: 0 })
  params = $state<{ name: string; value: string }[]>([])
  start = $state(true)

  templates = $state.raw<TemplateInfo[]>([])
  found = $state.raw<FieldProblem[]>([])
  touched = $state.raw<string[]>([])
  problem = $state.raw<Problem>()
  creating = $state(false)
  readonly bounds: ReturnType<typeof modest>
  #asked = 0

  constructor(private store: Store) {
    this.bounds = modest(store.state!.host)
    this.resources = this.bounds.first
  }

  readonly problems = $derived(Object.fromEntries(this.found.map((p) => [p.field, p.message])))
  // What has no field of its own here.
  readonly others = $derived(this.found.filter((p) => !shownFields.includes(p.field)))

  async load() {
    try {
      this.templates = await this.store.call('templates', {})
      this.template ||= this.templates[0]?.locator ?? ''
    } catch (e) {
      this.problem = problemOf(e)
    }
  }

  touch(field: string) {
    if (!this.touched.includes(field)) this.touched = [...this.touched, field]
  }

  // An empty name is no mistake before anything was typed.
  message(field: string): string | undefined {
    return field === 'name' && !this.touched.includes('name') ? undefined : this.problems[field]
  }

  picked() {
    this.custom = false
    this.touch('template')
  }

  async customise() {
    this.custom = !this.custom
    if (!this.custom) return
    try {
      this.text = (await this.store.call('template.read', { locator: this.template })).text
    } catch (e) {
      this.custom = false
      this.problem = problemOf(e)
    }
  }

  request(): Methods['vm.check'][0] {
    const params = Object.fromEntries(this.params.filter((p) => p.name.trim()).map((p) => [p.name.trim(), p.value]))
    return {
      name: this.name.trim(),
      template: this.template,
      ...(this.custom && { text: this.text }),
      ...(this.sized && { resources: this.resources }),
      ...(Object.keys(params).length && { params }),
    }
  }

  // checkSoon is an effect: it runs when anything of the request has changed.
  checkSoon(): () => void {
    const request = this.request()
    if (!request.template) return () => {}
    const timer = setTimeout(() => void this.#check(request), pause)
    return () => clearTimeout(timer)
  }

  // An answer that was overtaken by a newer question is not shown; whoever asked gets it all the same.
  async #check(request: Methods['vm.check'][0]): Promise<boolean> {
    const asked = ++this.#asked
    try {
      const found = [...this.#local(), ...(await this.store.call('vm.check', request))]
      if (asked === this.#asked) {
        this.found = found
        this.problem = undefined
      }
      return found.length === 0
    } catch (e) {
      if (asked === this.#asked) this.problem = problemOf(e)
      return false
    }
  }

  #local(): FieldProblem[] {
    if (!this.sized) return []
    return knobs.flatMap((k) => {
      const message = outside(k, this.resources[k.field], this.bounds.least[k.field], this.bounds.most[k.field])
      return message ? [{ field: k.field, message }] : []
    })
  }

  // create gives undefined, and the reason beside its field, if it was not accepted.
  async create(): Promise<Ref | undefined> {
    if (this.creating) return undefined
    this.creating = true
    for (const field of shownFields) this.touch(field)
    try {
      const request = this.request()
      if (!(await this.#check(request))) return undefined
      return await this.store.call('vm.create', { ...request, start: this.start })
    } catch (e) {
      const field = e instanceof CallError ? e.problem.field : undefined
      if (field) this.found = [{ field, message: problemOf(e).message }]
      else this.problem = problemOf(e)
      return undefined
    } finally {
      this.creating = false
    }
  }
}

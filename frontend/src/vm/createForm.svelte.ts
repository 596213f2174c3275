// The form for a new VM. The Go side checks it while the user types; it is sent only when it is valid.
import type { FieldProblem, Methods, Param, Problem, Ref, Resources, Template } from '../lib/api'
import { outOfRange, resources, suggested } from './resources'
import type { Store } from '../lib/store.svelte'
import { FieldCheck } from '../lib/fieldCheck.svelte'
import { CallError, problemOf } from '../lib/transport'

const readDelay = 300 // ms after the last key
const shownFields = ['name', 'template', 'params']
const paramName = /^[a-zA-Z][a-zA-Z0-9_]*$/
const paramField = (name: string) => `params.${name}`

export class CreateForm {
  name = $state('')
  template = $state('')
  text = $state('')
  custom = $state(false)
  sized = $state(false)
  resources = $state.raw<Resources>({ cpus: 0, memory: 0, disk: 0 })
  known = $state.raw<Param[]>([]) // the parameters that the template declares
  chosen = $state<Record<string, string | undefined>>({}) // their values; undefined: the default
  params = $state<{ name: string; value: string }[]>([]) // parameters that the template does not declare
  start = $state(true)

  templates = $state.raw<Template[]>([])
  named = $state(false) // the user has typed a name, or tried to create the VM
  failure = $state.raw<Problem>()
  creating = $state(false)
  readonly bounds: ReturnType<typeof suggested>
  #read = 0
  #loaded: Promise<void> | undefined

  constructor(private store: Store) {
    this.bounds = suggested(store.state!.host)
    this.resources = this.bounds.first
  }

  readonly check = new FieldCheck()
  readonly problem = $derived(this.failure ?? this.check.failure)
  readonly problems = $derived(Object.fromEntries(resources.map((r) => [r.field, this.check.message(r.field)])))
  // Problems of fields that the form doesn't show. A parameter always has a field, unless it was removed meanwhile.
  readonly others = $derived.by(() => {
    const shown = [...shownFields, ...(this.sized ? resources.map((r) => r.field) : [])]
    return this.check.problems.filter((p) => !shown.includes(p.field) && !p.field.startsWith('params.'))
  })

  load() {
    this.#loaded = this.#load()
  }

  async #load() {
    try {
      this.templates = await this.store.call('templates', {})
      this.template ||= this.templates[0]?.locator ?? ''
    } catch (e) {
      this.failure = problemOf(e)
    }
  }

  // An empty name is not reported before the user has typed something.
  message(field: string): string | undefined {
    return field === 'name' && !this.named ? undefined : this.check.message(field)
  }

  param(name: string): string | undefined {
    return this.check.message(paramField(name.trim()))
  }

  picked() {
    this.custom = false
    this.known = []
  }

  async customise() {
    this.custom = !this.custom
    if (!this.custom) return
    try {
      this.text = (await this.store.call('template.read', { locator: this.template })).text
    } catch (e) {
      this.custom = false
      this.failure = problemOf(e)
    }
  }

  request(): Methods['vm.check'][0] {
    const params = Object.fromEntries([
      ...this.known.flatMap(({ name }) => (this.chosen[name] === undefined ? [] : [[name, this.chosen[name]]])),
      ...this.params.filter((p) => p.name.trim()).map((p) => [p.name.trim(), p.value]),
    ]) as Record<string, string>
    return {
      name: this.name.trim(),
      template: this.template,
      ...(this.custom && { text: this.text }),
      ...(this.sized && { resources: this.resources }),
      ...(Object.keys(params).length && { params }),
    }
  }

  // checkSoon is an effect that checks the form after each change.
  checkSoon(): () => void {
    const request = this.request()
    if (!request.template) return () => {}
    return this.check.later(() => this.#ask(request))
  }

  // readParams is an effect that reads the parameters when another template or text is chosen.
  readParams(): () => void {
    const locator = this.template
    const text = this.custom ? this.text : undefined
    if (!locator) return () => {}
    const timer = setTimeout(() => void this.#readParams({ locator, ...(text && { text }) }), text ? readDelay : 0)
    return () => clearTimeout(timer)
  }

  // A text that is being typed may be invalid YAML for a moment: the known parameters stay.
  async #readParams(source: Methods['template.params'][0]) {
    const read = ++this.#read
    try {
      const known = await this.store.call('template.params', source)
      if (read === this.#read) this.known = known
    } catch {
      // The check reports what is wrong.
    }
  }

  async #ask(request: Methods['vm.check'][0]): Promise<FieldProblem[]> {
    return [...this.#local(), ...(await this.store.call('vm.check', request))]
  }

  #local(): FieldProblem[] {
    const names = this.params.map((p) => p.name.trim()).filter((name) => name && !paramName.test(name))
    return [
      ...(this.custom && !this.text.trim() ? [{ field: 'template', message: 'The template is empty.' }] : []),
      ...names.map((name) => ({
        field: paramField(name),
        message: 'A parameter name starts with a letter and contains only letters, digits and underscores.',
      })),
      ...(this.sized ? resources : []).flatMap((r) => {
        const message = outOfRange(r, this.resources, this.bounds)
        return message ? [{ field: r.field, message }] : []
      }),
    ]
  }

  // create returns undefined if the form was not accepted; the reason stands beside its field.
  async create(): Promise<Ref | undefined> {
    if (this.creating) return undefined
    this.creating = true
    this.named = true
    try {
      await this.#loaded // a user who is faster than the list of templates gets the first template
      const request = this.request()
      if (!(await this.check.now(() => this.#ask(request)))) return undefined
      return await this.store.call('vm.create', { ...request, start: this.start })
    } catch (e) {
      const field = e instanceof CallError ? e.problem.field : undefined
      if (field) this.check.show([{ field, message: problemOf(e).message }])
      else this.failure = problemOf(e)
      return undefined
    } finally {
      this.creating = false
    }
  }
}

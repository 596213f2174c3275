// The form of the container engine's settings: the dialog of the first run and the settings have it.
import type { AppChange, AppForm, AppValues, FieldProblem, Ref } from '../lib/api'
import { FieldCheck } from '../lib/fieldCheck.svelte'
import type { Store } from '../lib/store.svelte'
import { CallError, problemOf } from '../lib/transport'
import { changes, outOfRange, resources } from '../vm/resources'
import { engineLabel } from './labels'

export type Field = keyof AppValues

// What takes effect only with a restart of the virtual machine.
const restarting: readonly Field[] = ['engine', 'cpus', 'memory', 'disk', 'mounts']

export const contextModes = [
  ['Auto', 'If docker’s current context does not work'],
  ['Always', 'Always'],
  ['Never', 'Never'],
] as const

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

export class AppSettingsForm {
  known = $state.raw<AppForm>()
  values = $state.raw<AppValues>()
  failure = $state.raw<ReturnType<typeof problemOf>>()
  refusedEngines = $state.raw<Record<string, string>>({}) // by name: why it can't be chosen
  busy = $state(false)
  readonly check = new FieldCheck()

  constructor(private store: Store) {}

  async load() {
    try {
      this.known = await this.store.call('app.settings', {})
      this.values = this.known.values
      this.failure = undefined
      const refused = await this.store.call('app.check', { engine: 'containerd' })
      const why = refused.find((p) => p.field === 'engine')?.message
      this.refusedEngines = why ? { containerd: why } : {}
    } catch (e) {
      this.failure = problemOf(e)
    }
  }

  readonly changed = $derived(
    this.known && this.values
      ? (Object.keys(this.values) as Field[]).filter((f) => !same(this.values![f], this.known!.values[f]))
      : [],
  )
  readonly dirty = $derived(this.changed.length > 0)
  // Whether a resource is out of its range, which stands beside its slider.
  readonly outOfRange = $derived(
    !!this.known && !!this.values && resources.some((r) => outOfRange(r, this.values!, this.known!)),
  )
  readonly restarts = $derived(this.changed.some((f) => restarting.includes(f)))

  // edits lists what changes, in words.
  readonly edits = $derived.by(() => {
    const { known, values } = this
    if (!known || !values) return []
    const was = known.values
    const list = (n: number) => (n === 0 ? 'none' : String(n))
    return [
      ...(was.engine === values.engine
        ? []
        : [{ field: 'engine', label: 'Engine', from: engineLabel(was.engine), to: engineLabel(values.engine) }]),
      ...changes(was, values),
      ...(same(was.mounts, values.mounts)
        ? []
        : [
            { field: 'mounts', label: 'Shared folders', from: list(was.mounts.length), to: list(values.mounts.length) },
          ]),
      ...(same(was.bindAddresses, values.bindAddresses)
        ? []
        : [
            {
              field: 'bindAddresses',
              label: 'Addresses for ports',
              from: was.bindAddresses.join(', ') || 'none',
              to: values.bindAddresses.join(', ') || 'none',
            },
          ]),
      ...(was.dockerContext === values.dockerContext
        ? []
        : [
            {
              field: 'dockerContext',
              label: 'Docker context',
              from: modeLabel(was.dockerContext),
              to: modeLabel(values.dockerContext),
            },
          ]),
    ]
  })

  set(change: Partial<AppValues>) {
    this.values = { ...this.values!, ...change }
  }

  revert() {
    this.values = this.known!.values
  }

  // defaults restores the defaults of the resources.
  defaults() {
    const { cpus, memory, disk } = this.known!.defaults
    this.set({ cpus, memory, disk: Math.max(disk, this.known!.least.disk) })
  }

  // change is what the form changes. A value that is the default is left out of the settings, so that it follows the host.
  change(): AppChange {
    const { known, values } = this
    if (!known || !values) return {}
    return Object.fromEntries(this.changed.map((f) => [f, same(values[f], known.defaults[f]) ? null : values[f]]))
  }

  message(field: string): string | undefined {
    return this.check.message(field)
  }

  // of returns the problems of a list, whose fields are such as mounts and mounts[1].path.
  of(field: string): string[] {
    return this.check.problems
      .filter((p) => p.field === field || p.field.startsWith(`${field}[`))
      .map((p) => this.#described(field, p))
  }

  // A problem of one row names it, because all of them stand below the list.
  #described(field: string, { field: of, message }: FieldProblem): string {
    const row = /\[(\d+)\]/.exec(of)?.[1]
    const value = row && (field === 'mounts' ? this.values?.mounts[+row]?.path : this.values?.bindAddresses[+row])
    return value && !message.includes(value) ? `${value}: ${message}` : message
  }

  // wrongRow returns whether a row of a list is wrong, or the list as a whole.
  wrongRow(field: string, row: number): boolean {
    return this.check.problems.some((p) => p.field === field || p.field.startsWith(`${field}[${row}]`))
  }

  // checkSoon is for an effect.
  checkSoon(): (() => void) | undefined {
    if (!this.dirty) {
      this.check.clear()
      return undefined
    }
    const change = this.change()
    return this.check.later(() => this.store.call('app.check', change))
  }

  readonly resourceProblems = $derived(
    Object.fromEntries(resources.map((r) => [r.field, this.check.message(r.field)])) as Partial<Record<string, string>>,
  )

  // save returns undefined if the settings were not accepted; the reason stands beside its field.
  async save(start = false): Promise<Ref | undefined> {
    if (this.busy || this.outOfRange) return undefined
    this.busy = true
    this.failure = undefined
    try {
      const change = this.change()
      if (this.dirty && !(await this.check.now(() => this.store.call('app.check', change)))) return undefined
      return await this.store.call('app.set', { ...change, ...(start && { start: true }) })
    } catch (e) {
      const field = e instanceof CallError ? e.problem.field : undefined
      if (field) this.check.show([{ field, message: problemOf(e).message }])
      else this.failure = problemOf(e)
      return undefined
    } finally {
      this.busy = false
    }
  }
}

export const modeLabel = (mode: string) => contextModes.find(([m]) => m === mode)?.[1] ?? mode

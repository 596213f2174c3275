// A fake of the Go side in memory, for tests of components and for `vite --mode fake`.
// The address picks its scene: ?scene=usual|first|stopped|many|broken|containerd, and &pace=MS for each step of an operation.
import type {
  Container,
  Failure,
  Finding,
  Methods,
  Operation,
  Param,
  Problem,
  Progress,
  Resources,
  Settings,
  State,
  VM,
} from '../lib/api'
import { app, containerdApp, FakeEngine, id as idOf, list } from './fakeEngine'
import { CallError, Emitter, type Events, type Method, type Params, type Remote, type Result } from '../lib/transport'

type Verb = Operation['verb']
const GiB = 1024 ** 3
const MiB = 1024 ** 2
export type Scene = 'usual' | 'first' | 'stopped' | 'many' | 'broken' | 'containerd'

export function fromAddress(search = location.search): Fake {
  const q = new URLSearchParams(search)
  const fake = new Fake((q.get('scene') as Scene) ?? 'usual', Number(q.get('pace') ?? 700))
  ;(window as unknown as { fake: Fake }).fake = fake
  return fake
}

export function vm(name: string, more: Partial<VM> = {}): VM {
  return {
    name,
    state: 'Stopped',
    running: false,
    acceleration: '?',
    restarts: 0,
    created: '2026-11-03T09:12:00Z',
    canEnter: ['Running', 'Starting', 'Unresponsive', 'Paused', 'Stopping', 'StopFailed'].includes(more.state ?? ''),
    restartNeeded: [],
    ...more,
  }
}

const up = (name: string, more: Partial<VM> = {}) =>
  vm(name, { state: 'Running', running: true, acceleration: 'hardware', sshPort: 60022, ...more })

const settings: Settings = {
  theme: 'system',
  serviceTimeout: 90,
  vmTimeout: 300,
  logLevel: 'info',
  startAtLogin: false,
  trayAtLogin: true,
  onQuit: 'ask',
  firstRunDone: true,
}

const vmsOf: Record<Exclude<Scene, 'containerd'>, () => VM[]> = {
  usual: () => [
    up('rd'),
    up('web', { restartNeeded: ['processors 2 → 4'] }),
    up('database'),
    vm('slow'),
    vm('old-debian', {
      state: 'StartFailed',
      running: true,
      problem: 'download image: digest mismatch: got sha256:1f0c…, the template says sha256:9ab2…',
      advice:
        'The image has been changed since the template was written. Take a newer template, or correct its digest.',
      permanent: true,
    }),
  ],
  first: () => [],
  stopped: () => [],
  many: () => Array.from({ length: 500 }, (_, i) => (i % 3 ? vm : up)(`machine-${String(i).padStart(3, '0')}`)),
  broken: () => [up('web')],
}

const findings: Finding[] = [
  {
    check: 'disk-space',
    id: 'disk-almost-full',
    severity: 'warning',
    what: '/home is 91 % full',
    meaning: 'Virtual disks grow as they are written to. A guest whose disk can’t grow stops writing.',
    remedy: 'Free some space, or delete virtual machines that are no longer needed.',
  },
  {
    check: 'leftovers',
    id: 'stale-hostagent',
    severity: 'problem',
    what: 'A host agent of an earlier run is still alive (process 4711)',
    meaning: 'It keeps the disk of virtual machine old-debian locked, so it can’t start.',
    remedy: 'It can be stopped safely; its guest has ended.',
    repair: 'Clear leftovers',
  },
  { check: 'kvm', id: 'kvm', severity: 'ok', what: '/dev/kvm can be used' },
  { check: 'store', id: 'kvm', severity: 'ok', what: 'The store is sound' },
]

const template = `# A small Debian guest.
images:
  - location: https://example.test/debian-13.qcow2
    arch: x86_64
cpus: 2
memory: 4GiB
disk: 100GiB
param:
  Greeting: hello
provision:
  - mode: system
    script: |
      #!/bin/sh
      echo "$PARAM_Greeting" >/etc/motd
`

const files: Record<string, string> = {
  'report.json': '{\n  "instance": "default",\n  "findings": []\n}\n',
  'log/rddd.log': 'time=2026-11-28T10:00:00Z level=INFO msg="the control plane is ready" token=[redacted]\n'.repeat(40),
  'vm/web/ha.stderr.log': 'level=info msg="<b>not bold</b>"\n'.repeat(30),
}

const starting: Progress[] = [
  { phase: 'image', step: 1, steps: 5, bytes: 0, total: 320 * MiB, message: 'downloading debian-13.qcow2', elapsed: 0 },
  {
    phase: 'image',
    step: 1,
    steps: 5,
    bytes: 190 * MiB,
    total: 320 * MiB,
    message: 'downloading debian-13.qcow2',
    elapsed: 1,
  },
  { phase: 'disk', step: 2, steps: 5, message: 'making the disk', elapsed: 2 },
  { phase: 'boot', step: 3, steps: 5, message: 'starting QEMU', elapsed: 3 },
  { phase: 'ssh', step: 4, steps: 5, message: 'waiting for SSH', elapsed: 4 },
  { phase: 'provision', step: 5, steps: 5, message: 'running provision scripts', elapsed: 5 },
]
const stopping: Progress[] = [
  { phase: 'stop', step: 1, steps: 2, message: 'asking the guest to power off', elapsed: 0 },
  { phase: 'stop', step: 2, steps: 2, message: 'waiting for QEMU to end', elapsed: 1 },
]
const serviceUp: Progress[] = [
  { phase: 'datastore', step: 1, steps: 3, elapsed: 0 },
  { phase: 'API server', step: 2, steps: 3, elapsed: 1 },
  { phase: 'controllers', step: 3, steps: 3, elapsed: 2 },
]

// The layers of an image that is pulled or pushed, which are done one after the other.
function transfers(phase: string, moving: string, done: string): Progress[] {
  const layers = [31 * MiB, 4 * MiB, 22 * MiB, 900]
  const names = ['5c32499ab806', 'a1d0c7532777', '9f3589a5fc50', '1be6ce8e3f4a']
  return layers.map((_, at) => ({
    phase,
    message: `${phase}ing from library`,
    elapsed: at,
    parts: layers.map((total, i) => {
      const [id, name] = [names[i]!, names[i]!]
      if (i < at) return { id, name, status: done, done: true }
      return i === at ? { id, name, status: moving, current: total * 0.6, total } : { id, name, status: 'Waiting' }
    }),
  }))
}

const buildSteps = ['[internal] load build definition from Dockerfile', '[1/3] FROM debian:trixie', '[2/3] RUN make']
const building: Progress[] = buildSteps.map((_, at) => ({
  phase: 'build',
  elapsed: at,
  parts: buildSteps.slice(0, at + 1).map((name, i) => ({
    id: `sha256:${i}`,
    name,
    status: i < at ? (i ? 'Done' : 'Cached') : 'Running',
    ...(i < at && { done: true }),
  })),
}))

const archive = (phase: string): Progress[] => [
  { phase, bytes: 0, total: 90 * MiB, elapsed: 0 },
  { phase, bytes: 60 * MiB, total: 90 * MiB, elapsed: 1 },
]

// Checks a template as Lima would, as far as tests need it.
function judge(text: string | undefined) {
  if (text === undefined || text.includes('images:')) return []
  return [{ field: 'template', message: 'images: must name at least one image' }]
}

// Checks params as Lima would, as far as tests need it.
function paramProblems(params: Record<string, string> = {}) {
  return Object.entries(params).flatMap(([name, value]) => {
    const message = !/^(Greeting|Secret|ContainerdVersion)$/.test(name)
      ? 'is not used in any provision, probe, copyToHost, or portForward'
      : value.includes('\u0007') && 'its value contains unprintable character'
    return message ? [{ field: `params.${name}`, message }] : []
  })
}

// Reads the params of a template that is written like the one above.
function paramsOf(text: string): Param[] {
  const lines = /^param:\n((?: {2}.*\n)*)/m.exec(text)?.[1] ?? ''
  return [...lines.matchAll(/^ {2}(\w+): *(.*)$/gm)].map(([, name, value]) => ({
    name: name!,
    value: value!,
    default: value!,
    set: false,
  }))
}

interface Work {
  verb: Verb
  object: string
  title: string
  phases: Progress[]
  begin?: () => void
  step?: (p: Progress) => void
  end: () => void
  force?: string
  log?: Operation['log']
  result?: Operation['result']
  never?: boolean // stays at its last phase and becomes overdue
  undo?: () => void
}

// What a container becomes by an action, and the states from which it can be done.
const containerActions = {
  start: { to: 'running', from: ['created', 'exited', 'running', 'dead'] },
  stop: { to: 'exited', from: ['running', 'paused', 'restarting', 'exited'] },
  restart: { to: 'running', from: ['running', 'exited', 'created', 'paused'] },
  pause: { to: 'paused', from: ['running'] },
  unpause: { to: 'running', from: ['paused'] },
  kill: { to: 'exited', from: ['running', 'paused', 'restarting'] },
} as const

export class Fake implements Remote {
  state: State
  readonly engine = new FakeEngine((event) => this.#events.emit('engine', event))
  #scene: Scene
  calls: { method: Method; params: unknown }[] = []
  refusals: Partial<Record<Method, Problem>> = {}
  #refused: { method: Method; name: string; message: string }[] = []
  #events = new Emitter()
  #work = new Map<string, Work>()
  #timers = new Map<string, ReturnType<typeof setTimeout>>()
  #streams = new Map<string, ReturnType<typeof setInterval> | undefined>()
  #next = 1
  #templates: Record<string, { text: string; version: number }> = {}
  #resources: Record<string, Resources> = {}
  #params: Record<string, Param[]> = {}
  #findings = structuredClone(findings)

  constructor(
    scene: Scene = 'usual',
    private pace = 700,
  ) {
    const stopped = scene === 'stopped' || scene === 'first'
    this.#scene = scene
    this.state = {
      ...(scene !== 'first' && {
        app:
          scene === 'broken'
            ? app('broken', { message: 'the service is broken: the store is damaged' })
            : scene === 'containerd'
              ? containerdApp('running')
              : app(scene === 'stopped' ? 'stopped' : 'running'),
      }),
      instance: 'default',
      instances: ['default', 'experiments'],
      version: 'v0.4.0',
      host: { cpus: 8, memory: 16 * GiB, disk: 200 * GiB, os: 'linux' },
      service: {
        instance: 'default',
        state:
          scene === 'first'
            ? 'not-created'
            : scene === 'stopped'
              ? 'stopped'
              : scene === 'broken'
                ? 'broken'
                : 'running',
        version: 'v0.4.0',
        ...(scene === 'broken' && { error: 'the store is damaged: page 17 of state.db has a wrong checksum' }),
        log: '/home/me/.local/state/rdd/default/log/rddd.log',
      },
      vms: vmsOf[scene === 'containerd' ? 'usual' : scene](),
      vmsKnown: !stopped && scene !== 'broken',
      operations: [],
      settings: { ...settings, firstRunDone: scene !== 'first' },
      login: [
        { part: 'service', installed: false, path: '/home/ada/.config/systemd/user/rdd.service' },
        { part: 'tray', installed: true, path: '/home/ada/.config/autostart/rdd-tray.desktop' },
      ],
      readOnly: false,
    }
    if (scene === 'broken') this.state.error = { kind: 'other', message: 'The service does not answer.' }
    if (!stopped && scene !== 'broken') this.engine.fill(scene)
    this.#count()
  }

  on<E extends keyof Events>(event: E, listener: (value: Events[E]) => void) {
    return this.#events.on(event, listener)
  }

  start() {
    this.#events.emit('link', 'up')
    this.push()
    this.pushEngine()
  }

  // pushEngine sends all objects of the engine, as at the beginning of a connection.
  pushEngine() {
    this.#count()
    const { app } = this.state
    this.#events.emit(
      'engine',
      structuredClone(
        this.engine.all({
          known: app?.state === 'running',
          ...(app?.state === 'broken'
            ? { problem: { kind: 'other', message: app.message ?? '' } }
            : app?.state !== 'running' && { reason: `The container engine is ${app?.state ?? 'not created yet'}.` }),
        }),
      ),
    )
  }

  #count() {
    const { app } = this.state
    if (app) this.state.app = { ...app, counts: this.engine.counts(), ports: this.engine.ports() }
  }

  close() {
    for (const timer of this.#timers.values()) clearTimeout(timer)
    for (const timer of this.#streams.values()) clearInterval(timer)
  }

  push(change: Partial<State> = {}) {
    this.state = { ...this.state, ...change }
    const overdue = this.state.operations.filter((o) => o.state === 'overdue')
    const [first] = overdue
    this.state.question = first && {
      operation: first.id,
      title: `${first.title}: taking longer than expected`,
      text: `It has been at “${first.progress.phase}” for a while: ${first.progress.message ?? ''}.`,
      waited: this.state.settings.vmTimeout,
      extend: this.state.settings.vmTimeout,
      force: first.force,
      waiting: overdue.length - 1,
    }
    this.#events.emit('state', structuredClone(this.state))
  }

  link(link: Events['link']) {
    this.#events.emit('link', link)
  }

  // refuse makes the engine refuse to do something with one object.
  refuse(method: Method, name: string, message: string) {
    this.#refused.push({ method, name, message })
  }

  // say writes to all open logs and shells.
  say(data: string) {
    for (const id of this.#streams.keys()) this.#events.emit('stream', { id, data })
  }

  // endStreams ends all open logs and shells.
  endStreams() {
    for (const [id, timer] of this.#streams) {
      clearInterval(timer)
      this.#events.emit('stream', { id, end: true })
    }
    this.#streams.clear()
  }

  // kill shows the service as after SIGKILL.
  kill() {
    this.push({ service: { ...this.state.service, state: 'stopped' }, vmsKnown: false })
  }

  async call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    this.calls.push({ method, params: structuredClone(params) })
    const refusal = this.refusals[method]
    if (refusal) throw new CallError(refusal)
    const refused = this.#refused.filter((r) => r.method === method)
    if (refused.length) return refused.map(({ name, message }) => ({ id: name, name, message })) as Result<M>
    const answers = this.#answers as { [K in Method]: (params: Params<K>) => Result<K> }
    return structuredClone(answers[method](params))
  }

  #vm(name: string, change: Partial<VM> | undefined) {
    const vms = change
      ? this.state.vms.map((v) => (v.name === name ? { ...v, ...change } : v))
      : this.state.vms.filter((v) => v.name !== name)
    this.push({ vms })
  }

  #operation(id: string, change: Partial<Operation> | undefined) {
    const operations = change
      ? this.state.operations.map((o) => (o.id === id ? { ...o, ...change } : o))
      : this.state.operations.filter((o) => o.id !== id)
    this.push({ operations })
  }

  #run(work: Work): { operation: string } {
    const id = `op-${this.#next++}`
    const { verb, object, title, force, log } = work
    this.#work.set(id, work)
    const progress = work.phases[0] ?? { phase: 'begin', elapsed: 0 }
    this.push({
      operations: [
        ...this.state.operations,
        {
          id,
          verb,
          object,
          title,
          state: 'running',
          progress,
          started: new Date().toISOString(),
          background: false,
          force,
          log,
          ...(verb === 'create' && { fresh: true }),
        },
      ],
    })
    work.begin?.()
    this.#advance(id, 0)
    return { operation: id }
  }

  #advance(id: string, at: number) {
    const work = this.#work.get(id)!
    const p = work.phases[at]
    if (p) {
      this.#operation(id, { progress: p })
      work.step?.(p)
    }
    this.#timers.set(
      id,
      setTimeout(() => {
        if (at + 1 < work.phases.length) this.#advance(id, at + 1)
        else if (work.never) this.#operation(id, { state: 'overdue' })
        else this.#end(id)
      }, this.pace),
    )
  }

  #end(id: string) {
    const work = this.#work.get(id)
    work?.end()
    this.#operation(id, { state: 'done', ...(work?.result && { result: work.result }) })
  }

  #appIs(state: NonNullable<State['app']>['state'], more: Partial<State['app']> = {}) {
    const containerd = this.engine.values.engine === 'containerd'
    this.state.app = (containerd ? containerdApp : app)(state, { settings: { ...this.engine.values }, ...more })
    const moby = this.#scene === 'containerd' ? 'usual' : this.#scene
    if (state === 'running' && !this.engine.containers.length) this.engine.fill(containerd ? 'containerd' : moby)
    if (state !== 'running') this.engine.clear()
    this.#count()
    this.push()
    this.pushEngine()
  }

  #startApp(verb: Verb = 'start-app', title = 'Start the container engine') {
    return this.#run({
      verb,
      object: 'app',
      title,
      phases: [
        ...starting.map((p) => ({ ...p, steps: 6 })),
        { phase: 'engine', step: 6, steps: 6, message: 'waiting for the container engine', elapsed: 6 },
      ],
      force: 'The virtual machine is powered off immediately. Data that it has not written to disk is lost.',
      log: { source: 'serial', vm: 'rd' },
      begin: () => {
        if (this.state.service.state !== 'running') this.#serviceIs('running')
        this.#appIs('starting')
      },
      step: (progress) => this.push({ app: { ...this.state.app!, progress } }),
      end: () => this.#appIs('running'),
      undo: () => this.#appIs('stopped'),
    })
  }

  #stopApp(verb: Verb, title: string, end: () => void) {
    return this.#run({
      verb,
      object: 'app',
      title,
      phases: stopping,
      force: 'The virtual machine is powered off immediately. Data that it has not written to disk is lost.',
      log: { source: 'serial', vm: 'rd' },
      begin: () => this.#appIs(verb === 'delete-app' ? 'deleting' : 'stopping'),
      step: (progress) => this.push({ app: { ...this.state.app!, progress } }),
      end,
    })
  }

  // Does something with each container; those of which it can't be done are the failures.
  #onContainers(ids: string[], action: keyof typeof containerActions): Failure[] {
    const { to, from } = containerActions[action]
    const failures: Failure[] = []
    const changed: Container[] = []
    for (const id of ids) {
      const c = this.engine.find(id)
      if (!c) failures.push({ id, name: id, message: `No such container: ${id}` })
      else if (!(from as readonly string[]).includes(c.state))
        failures.push({ id, name: c.name, message: `Cannot ${action} container ${c.name}: it is ${c.state}` })
      else {
        const now = new Date().toISOString()
        const ended = to === 'exited' ? { finishedAt: now, exitCode: action === 'kill' ? 137 : 0 } : {}
        const begun = to === 'running' && action !== 'unpause' ? { startedAt: now, finishedAt: undefined } : {}
        changed.push({ ...c, state: to, ...ended, ...begun })
      }
    }
    this.engine.change({ containers: changed })
    this.#count()
    this.push()
    return failures
  }

  #files(path: string, of: 'container' | 'volume') {
    const found = list(path, of)
    if ('kind' in found) throw new CallError(found)
    return found
  }

  #inspect(object: object | undefined, id: string) {
    if (!object) throw new CallError({ kind: 'not-found', message: `No such object: ${id}` })
    return { text: JSON.stringify(object, null, 2) }
  }

  // Removes objects; judge says why one can't be removed.
  #remove<T extends { object: string; name: string }>(
    kind: 'containers' | 'images' | 'volumes' | 'networks',
    all: T[],
    names: string[],
    judge: (o: T) => string | undefined,
  ): Failure[] {
    const failures: Failure[] = []
    const removed: string[] = []
    for (const id of names) {
      const o = all.find((o) => o.object === id || o.name === id)
      const message = o ? judge(o) : `No such object: ${id}`
      if (message) failures.push({ id, name: o?.name ?? id, message })
      else removed.push(o!.object)
    }
    this.engine.change({}, { [kind]: removed })
    this.#count()
    this.push()
    return failures
  }

  // Work with the engine, with a log or a result.
  #move(
    verb: Verb,
    object: string,
    title: string,
    phases: Progress[],
    end: () => void = () => {},
    more?: true | Operation['result'],
  ) {
    const log = more === true ? { source: 'operation', operation: `op-${this.#next}` } : undefined
    const result = more === true ? undefined : more
    return this.#run({ verb, object, title, phases, end, log, result, undo: () => {} })
  }

  #pull(reference: string) {
    return this.#move(
      'pull-image',
      reference,
      `Pull ${reference}`,
      transfers('pull', 'Downloading', 'Pull complete'),
      () => this.#hasImage(reference),
    )
  }

  #hasImage(tag = '') {
    const repoTag = /:[^/]*$/.test(tag) ? tag : `${tag}:latest`
    const created = new Date().toISOString()
    const image = {
      object: `img-${repoTag}`,
      id: `sha256:${'ab'.repeat(32)}`,
      namespace: 'moby',
      created,
      size: 50 * MiB,
    }
    this.engine.change({ images: [{ ...image, ...(tag && { repoTag }) }] })
  }

  #quick(verb: Verb, object: string, title: string, end: () => void) {
    return this.#run({ verb, object, title, phases: [{ phase: 'save', elapsed: 0 }], end })
  }

  #service(verb: Verb, title: string, down: boolean, end: () => void) {
    const { service } = this.state
    return this.#run({
      verb,
      object: this.state.instance,
      title,
      phases: down ? stopping : serviceUp,
      log: { source: 'service' },
      ...(down && { force: 'All guests are powered off immediately. Data they have not written to disk is lost.' }),
      begin: () => this.push({ service: { ...service, state: down ? 'stopping' : 'starting' } }),
      end,
    })
  }

  #serviceIs(state: State['service']['state'], change: Partial<State> = {}) {
    this.push({
      service: { ...this.state.service, state, error: undefined },
      vmsKnown: state === 'running',
      error: undefined,
      ...change,
    })
    if (state !== 'running' && this.state.app) {
      if (state === 'not-created') delete this.state.app
      else this.state.app = app('stopped', { settings: { ...this.engine.values } })
      this.engine.clear()
      this.push()
      this.pushEngine()
    }
  }

  #startVM(name: string, verb: Verb = 'start', title = `Start virtual machine ${name}`) {
    return this.#run({
      verb,
      object: name,
      title,
      phases: starting,
      never: name.startsWith('slow'),
      force: 'The guest is powered off immediately. Data it has not written to disk is lost.',
      log: { source: 'serial', vm: name },
      begin: () => this.#vm(name, { state: 'Starting', running: true, problem: undefined, advice: undefined }),
      step: (progress) => this.#vm(name, { progress }),
      end: () =>
        this.#vm(name, {
          state: 'Running',
          canEnter: true,
          progress: undefined,
          acceleration: 'hardware',
          sshPort: 60022,
          restartNeeded: [],
        }),
      undo: () => this.#vm(name, { state: 'Stopped', running: false, progress: undefined }),
    })
  }

  #stream(text: (n: number) => string, every = 400, opening = ''): { stream: string } {
    const stream = `s-${this.#next++}`
    let n = 0
    setTimeout(() => this.#events.emit('stream', { id: stream, data: opening }), 0)
    this.#streams.set(
      stream,
      every ? setInterval(() => this.#events.emit('stream', { id: stream, data: text(n++) }), every) : undefined,
    )
    return { stream }
  }

  // Checks a form as the Go side does, as far as tests need it.
  #check({ name, template, resources, text, params }: Params<'vm.check'>) {
    const problems: Result<'vm.check'> = []
    if (!/^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$/.test(name))
      problems.push({
        field: 'name',
        message: 'name must be 1 to 30 characters of a-z, 0-9 and -, beginning and ending with a letter or digit',
      })
    else if (this.state.vms.some((v) => v.name === name))
      problems.push({ field: 'name', message: `A virtual machine named ${name} already exists. Choose another name.` })
    if (!template) problems.push({ field: 'template', message: 'Choose a template.' })
    problems.push(...judge(text))
    problems.push(...paramProblems(params))
    if (resources && resources.memory > this.state.host.memory)
      problems.push({ field: 'memory', message: 'This computer does not have that much memory.' })
    return problems
  }

  #answers: { [M in Method]: (params: Params<M>) => Result<M> } = {
    state: () => this.state,
    usage: () => [
      { name: '', cpu: 0.05 + Math.random() * 0.1, memory: 64 * MiB, disk: 12 * MiB, max: 0 },
      ...this.state.vms
        .filter((v) => v.state === 'Running')
        .slice(0, 20)
        .map((v, i) => ({
          name: v.name,
          cpu: 0.4 + Math.random() * (i + 0.5),
          memory: (0.8 + i * 0.3 + Math.random() * 0.2) * GiB,
          disk: (6 + i) * GiB,
          max: 100 * GiB,
        })),
    ],
    'service.start': () => this.#service('start-service', 'Start the service', false, () => this.#serviceIs('running')),
    'service.stop': () => this.#service('stop-service', 'Stop the service', true, () => this.#serviceIs('stopped')),
    'service.restart': () =>
      this.#service('restart-service', 'Restart the service', false, () => this.#serviceIs('running')),
    'service.reset': () =>
      this.#service('reset-service', 'Reset the instance', true, () => this.#serviceIs('stopped', { vms: [] })),
    'service.delete': () =>
      this.#service('delete-service', 'Factory reset', true, () => this.#serviceIs('not-created', { vms: [] })),
    'service.backups': () => [
      { name: 'state-2.db', time: '2026-11-27T22:00:00Z', size: 1.4 * MiB, path: '/backups/state-2.db', vms: [] },
      {
        name: 'state-1.db',
        time: '2026-11-26T22:00:00Z',
        size: 1.3 * MiB,
        path: '/backups/state-1.db',
        vms: [],
        problem: 'A page is damaged',
      },
    ],
    'service.restore': () =>
      this.#service('restart-service', 'Restore a backup', true, () => this.#serviceIs('running')),
    'app.start': () => this.#startApp(),
    'app.stop': ({ force }) =>
      this.#stopApp(force ? 'force-stop-app' : 'stop-app', 'Stop the container engine', () => this.#appIs('stopped')),
    'app.restart': () => this.#startApp('restart-app', 'Restart the container engine'),
    'app.reset': () => this.#startApp('reset-app', 'Reset the virtual machine of the container engine'),
    'app.delete': () =>
      this.#stopApp('delete-app', 'Delete the container engine', () => {
        this.engine.clear()
        this.push({ app: undefined })
        this.pushEngine()
      }),
    'app.settings': () => this.engine.form(!!this.state.app),
    'app.check': ({ cpus, memory, disk, mounts, bindAddresses }) => [
      ...(mounts ?? []).flatMap(({ path }, i) =>
        /^[/~]/.test(path) ? [] : [{ field: `mounts[${i}].path`, message: 'must be absolute or begin with ~/' }],
      ),
      ...(cpus && cpus > this.state.host.cpus
        ? [{ field: 'cpus', message: 'must be between 1 and 8, the number of processors of this computer' }]
        : []),
      ...(memory && memory > this.state.host.memory
        ? [{ field: 'memory', message: 'must be at most 16 GiB, which is what this computer has' }]
        : []),
      ...(disk && this.state.app && disk < this.engine.values.disk
        ? [{ field: 'disk', message: 'must be at least 100Gi, its present size: a disk can only grow' }]
        : []),
      ...(bindAddresses?.some((a) => !/^[\d.]+$|:/.test(a))
        ? [{ field: 'bindAddresses', message: 'must be IP addresses' }]
        : []),
    ],
    'app.set': (change) => {
      this.engine.set(change)
      if (change.start) return this.#startApp()
      const title = 'Change the settings of the container engine'
      const restarts = (['engine', 'cpus', 'memory', 'disk', 'mounts'] as const).some((f) => change[f] !== undefined)
      if (this.state.app?.running && restarts) return this.#startApp('change-app', title)
      return this.#quick('change-app', 'app', title, () =>
        this.push({ app: { ...(this.state.app ?? app('stopped')), settings: { ...this.engine.values } } }),
      )
    },
    'app.useContext': () => {
      const { app } = this.state
      this.push({ app: { ...app!, engine: { ...app!.engine, contextExists: true, contextCurrent: true } } })
      return {}
    },
    'container.start': ({ ids }) => this.#onContainers(ids, 'start'),
    'container.stop': ({ ids }) => this.#onContainers(ids, 'stop'),
    'container.restart': ({ ids }) => this.#onContainers(ids, 'restart'),
    'container.pause': ({ ids }) => this.#onContainers(ids, 'pause'),
    'container.unpause': ({ ids }) => this.#onContainers(ids, 'unpause'),
    'container.kill': ({ ids }) => this.#onContainers(ids, 'kill'),
    'container.delete': ({ ids, force }) =>
      this.#remove('containers', this.engine.containers, ids, (c) =>
        !force && (c.state === 'running' || c.state === 'paused')
          ? `cannot remove container "${c.name}": container is ${c.state}: stop the container before removing or force remove`
          : undefined,
      ),
    'image.pull': ({ reference }) => this.#pull(reference),
    'image.push': ({ reference }) =>
      this.#move('push-image', reference, `Push ${reference}`, transfers('push', 'Pushing', 'Pushed')),
    'image.build': ({ folder, tag }) =>
      this.#move('build-image', tag ?? folder, `Build ${tag ?? folder}`, building, () => this.#hasImage(tag), true),
    'image.load': ({ path }) =>
      this.#move('load-images', path, `Load images from ${path}`, archive('load'), () => this.#hasImage('loaded:1'), {
        message: '1 loaded.',
        items: ['loaded:1'],
      }),
    'image.save': ({ path }) => this.#move('save-images', path, `Save images to ${path}`, archive('save')),
    'image.tag': ({ image, target }) => {
      const from = this.engine.images.find((i) => i.object === image)!
      this.engine.change({ images: [{ ...from, object: `img-${target}`, repoTag: target, containers: undefined }] })
      return {}
    },
    'image.delete': ({ objects, force }) =>
      this.#remove(
        'images',
        this.engine.images.map((i) => ({ ...i, name: i.repoTag ?? i.id })),
        objects,
        (i) =>
          !force && i.containers?.length
            ? `conflict: unable to remove repository reference "${i.name}" (must force) - container ${i.containers[0]} is using it`
            : undefined,
      ),
    prune: ({ what, all }) => {
      const gone = this.engine.images.filter((i) => !i.containers && (all || !i.repoTag))
      const size = gone.reduce((sum, i) => sum + i.size, 0)
      return this.#move(
        'prune',
        what,
        `Prune ${what === 'buildCache' ? 'the build cache' : what}`,
        [{ phase: 'prune', elapsed: 0 }],
        () => {
          if (what === 'images') this.engine.change({}, { images: gone.map((i) => i.object) })
        },
        what === 'images'
          ? {
              message: `${gone.length} deleted. ${Math.round(size / MiB)} MiB freed.`,
              items: gone.map((i) => i.repoTag ?? i.id),
            }
          : { message: 'There was nothing to delete.', items: [] },
      )
    },
    'container.usage': ({ ids }) =>
      ids.flatMap((id) => {
        const c = this.engine.find(id)
        if (c?.state !== 'running') return []
        const seed = parseInt(c.id.slice(0, 4), 16) / 0xffff
        return {
          id,
          cpu: seed * 0.4 + Math.random() * 0.1,
          memory: (40 + seed * 600) * MiB,
          memoryLimit: 4 * GiB,
          netRx: seed * 80 * MiB,
          netTx: seed * 12 * MiB,
          blockRead: seed * 200 * MiB,
          blockWrite: seed * 30 * MiB,
          pids: 1 + Math.round(seed * 20),
        }
      }),
    'container.inspect': ({ id }) => this.#inspect(this.engine.find(id), id),
    'container.logOpen': ({ id, tail, timestamps, follow }) => {
      const c = this.engine.find(id)
      if (!c) throw new CallError({ kind: 'not-found', message: `No such container: ${id}` })
      const line = (n: number) => {
        const time = timestamps ? `${new Date(Date.now() - (1000 - n) * 1000).toISOString()} ` : ''
        const level = n % 17 ? '\u001b[32mINFO\u001b[0m' : '\u001b[31mERROR\u001b[0m'
        return `${time}${level} ${c.service ?? c.name}: GET /api/items/${n} 200 ${(n * 7) % 90} ms <b>not bold</b>\n`
      }
      const lines = Array.from({ length: tail < 0 ? 1000 : Math.min(tail, 1000) }, (_, i) => line(i))
      const follows = follow && c.state === 'running'
      const ref = this.#stream((n) => line(1000 + n), follows ? 400 : 0, lines.join(''))
      if (!follows) setTimeout(() => this.#events.emit('stream', { id: ref.stream, end: true }), 0)
      return ref
    },
    'container.shellOpen': ({ id }) => {
      const c = this.engine.find(id)
      if (c?.state !== 'running')
        throw new CallError({ kind: 'rejected', message: `container ${c?.name ?? id} is not running` })
      return this.#stream(() => '', 0, `\u001b[1;34mroot@${c.id.slice(0, 12)}\u001b[0m:/# `)
    },
    'container.files': ({ path }) => this.#files(path, 'container'),
    'container.download': ({ path, to }) => ({
      path: to ?? `/home/ada/Downloads/${path.split('/').pop() || 'files.tar'}`,
    }),
    'image.inspect': ({ id }) =>
      this.#inspect(
        this.engine.images.find((i) => i.object === id || i.id === id),
        id,
      ),
    'volume.create': ({ name, driver, labels }) => {
      const object = name || idOf(`volume ${this.#next++}`)
      const created = new Date().toISOString()
      this.engine.change({
        volumes: [{ object, name: object, driver: driver ?? 'local', scope: 'local', created, labels }],
      })
      return { object }
    },
    'volume.inspect': ({ id }) =>
      this.#inspect(
        this.engine.volumes.find((v) => v.name === id),
        id,
      ),
    'volume.files': ({ path }) => this.#files(path, 'volume'),
    'volume.download': ({ name, path, to }) => ({ path: to ?? `/home/ada/Downloads/${path.split('/').pop() || name}` }),
    'network.create': ({ name, driver, subnet, internal }) => {
      if (this.engine.networks.some((n) => n.name === name))
        throw new CallError({ kind: 'rejected', message: `network with name ${name} already exists` })
      const object = idOf(`network ${name}`)
      const subnets = [subnet ?? '172.28.0.0/16']
      const created = new Date().toISOString()
      this.engine.change({
        networks: [
          { object, id: object, name, driver: driver ?? 'bridge', scope: 'local', subnets, internal, created },
        ],
      })
      return { object }
    },
    'network.inspect': ({ id }) =>
      this.#inspect(
        this.engine.networks.find((n) => n.object === id || n.name === id),
        id,
      ),
    'volume.delete': ({ names }) =>
      this.#remove('volumes', this.engine.volumes, names, (v) =>
        v.containers?.length ? `remove ${v.name}: volume is in use - [${v.containers.join(', ')}]` : undefined,
      ),
    'network.delete': ({ ids }) =>
      this.#remove('networks', this.engine.networks, ids, (n) =>
        ['bridge', 'host', 'none'].includes(n.name)
          ? `${n.name} is a pre-defined network and cannot be removed`
          : n.containers?.length
            ? `error while removing network: network ${n.name} has active endpoints`
            : undefined,
      ),
    templates: () => [
      {
        name: 'rdd',
        locator: 'template:rdd',
        description: 'The container engine on a small Debian. Boots fastest.',
        source: 'shipped',
      },
      {
        name: 'debian-13',
        locator: 'template:debian-13',
        description: 'Debian 13 “trixie”, as its cloud image comes.',
        source: 'shipped',
      },
      { name: 'team', locator: 'team', description: 'From ConfigMap team.', source: 'stored' },
    ],
    'template.read': () => ({ text: template }),
    'template.params': ({ locator, text }) => paramsOf(text ?? (locator === 'template:rdd' ? '' : template)),
    'vm.check': (p) => this.#check(p),
    'vm.create': (p) => {
      const [wrong] = this.#check(p)
      if (wrong) throw new CallError({ kind: 'rejected', message: wrong.message, field: wrong.field })
      this.push({ vms: [...this.state.vms, vm(p.name, { state: 'Creating' })] })
      if (p.start) return this.#startVM(p.name, 'create', `Create and start virtual machine ${p.name}`)
      return this.#quick('create', p.name, `Create virtual machine ${p.name}`, () =>
        this.#vm(p.name, { state: 'Stopped' }),
      )
    },
    'vm.start': ({ name }) => this.#startVM(name),
    'vm.stop': ({ name }) =>
      this.#run({
        verb: 'stop',
        object: name,
        title: `Stop virtual machine ${name}`,
        phases: stopping,
        force: 'The guest is powered off immediately. Data it has not written to disk is lost.',
        log: { source: 'serial', vm: name },
        begin: () => this.#vm(name, { state: 'Stopping', running: false, progress: undefined }),
        end: () => this.#vm(name, { state: 'Stopped', problem: undefined, advice: undefined, sshPort: undefined }),
      }),
    'vm.restart': ({ name }) => this.#startVM(name, 'restart', `Restart virtual machine ${name}`),
    'vm.delete': ({ name }) =>
      this.#run({
        verb: 'delete',
        object: name,
        title: `Delete virtual machine ${name}`,
        phases: stopping,
        begin: () => this.#vm(name, { state: 'Deleting' }),
        end: () => this.#vm(name, undefined),
      }),
    'vm.reset': ({ name }) => this.#startVM(name, 'reset', `Reset virtual machine ${name}`),
    'vm.template': ({ name }) => {
      const t = (this.#templates[name] ??= { text: template, version: 1 })
      return { text: t.text, version: String(t.version) }
    },
    'vm.checkTemplate': ({ text }) => judge(text),
    'vm.setTemplate': ({ name, version, text }) => {
      const t = this.#templates[name]!
      if (version !== String(t.version))
        throw new CallError({
          kind: 'rejected',
          message: 'The template was changed meanwhile.',
          advice: 'Read it again, and make your change in that.',
        })
      this.#templates[name] = { text, version: t.version + 1 }
      return this.#quick('change', name, `Change virtual machine ${name}`, () => {})
    },
    'vm.resources': ({ name }) => {
      const next = (this.#resources[name] ??= { cpus: 4, memory: 4 * GiB, disk: 100 * GiB })
      const live = this.state.vms.find((v) => v.name === name)?.state === 'Running'
      return {
        next,
        ...(live && { current: { ...next, cpus: 2 } }),
        least: { cpus: 1, memory: 512 * MiB, disk: next.disk },
        most: { cpus: 8, memory: 16 * GiB, disk: 200 * GiB },
        pending: live,
      }
    },
    'vm.setResources': ({ name, resources }) => {
      this.#resources[name] = resources
      return this.#quick('change', name, `Change virtual machine ${name}`, () => {})
    },
    'vm.params': ({ name }) =>
      (this.#params[name] ??= [
        { name: 'Greeting', value: 'hello', default: 'hello', set: false },
        { name: 'ContainerdVersion', value: '2.1', default: '2.0', set: true },
      ]),
    'vm.checkParams': ({ set }) => paramProblems(set),
    'vm.setParams': ({ name, set, remove }) => {
      this.#params[name] = this.#params[name]!.map((p) => {
        if (p.name in set) return { ...p, set: true, value: set[p.name]! }
        return remove.includes(p.name) ? { ...p, set: false, value: p.default } : p
      })
      return this.#quick('change', name, `Change virtual machine ${name}`, () => {})
    },
    'operation.background': ({ id, background }) => (this.#operation(id, { background }), {}),
    'operation.dismiss': ({ id }) => (this.#operation(id, undefined), {}),
    'operation.cancel': ({ id, delete: unmake }) => {
      clearTimeout(this.#timers.get(id))
      const { verb, object: name, fresh } = this.state.operations.find((o) => o.id === id)!
      const moves = /-images?$|^prune$/.test(verb)
      this.#operation(id, { state: moves ? 'canceled' : 'abandoned' })
      if (fresh && unmake) return this.#answers['vm.delete']({ name })
      if (verb === 'start-app' || verb === 'restart-app') return this.#answers['app.stop']({})
      return ['create', 'start', 'restart'].includes(verb) ? this.#answers['vm.stop']({ name }) : {}
    },
    'operation.answer': ({ id, answer }) => {
      if (answer === 'keep') this.#operation(id, { state: 'running' })
      if (answer === 'stop-waiting') this.#operation(id, { state: 'abandoned' })
      if (answer === 'force') {
        this.#work.get(id)?.undo?.()
        this.#operation(id, { state: 'done' })
      }
      return {}
    },
    'log.save': ({ name }) => ({ path: `/home/ada/Downloads/${name}` }),
    'log.open': ({ source, vm: name }) =>
      this.#stream(
        (n) =>
          `[${String(n).padStart(6)}] \u001b[32m${source}\u001b[0m ${name ?? ''}: line ${n} <script>alert(1)</script>\n`,
        400,
        Array.from({ length: 200 }, (_, i) => `${source}: earlier line ${i} <b>bold</b>\n`).join(''),
      ),
    'shell.open': ({ name }) => this.#stream(() => '', 0, `\u001b[1;32mme@${name}\u001b[0m:~$ `),
    'stream.write': ({ stream, data }) => (
      this.#events.emit('stream', { id: stream, data: data.replace(/\r/g, '\r\n$ ') }),
      {}
    ),
    'stream.resize': () => ({}),
    'stream.close': ({ stream }) => {
      clearInterval(this.#streams.get(stream))
      this.#streams.delete(stream)
      return {}
    },
    diagnose: () => ({
      instance: this.state.instance,
      version: 'v0.4.0',
      os: 'linux',
      arch: 'amd64',
      findings: this.#findings,
    }),
    'diagnose.repair': ({ id }) =>
      this.#quick(
        'repair',
        this.state.instance,
        'Clear leftovers',
        () => (this.#findings = this.#findings.filter((f) => f.id !== id)),
      ),
    'bundle.preview': () => ({
      bundle: 'b-1',
      redactions: 41,
      files: Object.entries(files).map(([name, text], i) => ({
        name,
        bytes: text.length,
        redactions: i === 1 ? 40 : 0,
        truncated: i === 2,
      })),
    }),
    'bundle.file': ({ name }) => ({ text: files[name]! }),
    'bundle.save': () => ({ path: '/home/me/rdd-bundle-2026-11-28.tar.gz' }),
    'settings.set': (change) => {
      if ((change.vmTimeout ?? 0) < 0)
        throw new CallError({ kind: 'usage', message: 'not negative', field: 'vmTimeout' })
      this.push({ settings: { ...this.state.settings, ...change } })
      return this.state.settings
    },
    'instance.open': ({ name }) => {
      this.push({
        instance: name,
        vms: name === 'default' ? vmsOf.usual() : [],
        service: { ...this.state.service, instance: name, state: name === 'default' ? 'running' : 'stopped' },
        vmsKnown: name === 'default',
        app: name === 'default' ? app('running') : app('stopped'),
      })
      if (name === 'default') this.engine.fill(this.#scene)
      else this.engine.clear()
      this.pushEngine()
      this.push()
      return this.state
    },
  }
}

export type Calls<M extends Method> = Methods[M][0]

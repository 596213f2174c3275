// The container engine's objects. They come in an event of their own: all of them once, then what changes.
import type { Container, EngineEvent, Image, Network, Problem, Volume } from './api'

interface Row {
  object: string
}

// Rows are the objects of one kind, sorted. A row that has not changed stays the same object, so that a list draws only
// the others.
class Rows<T extends Row> {
  all = $state.raw<readonly T[]>([])
  #byObject = new Map<string, T>()

  constructor(private order: (a: T, b: T) => number) {}

  get(object: string): T | undefined {
    void this.all // a reader is told about changes
    return this.#byObject.get(object)
  }

  take(reset: boolean, changed: T[] = [], removed: string[] = []) {
    if (!reset && changed.length === 0 && removed.length === 0) return
    const before = this.#byObject
    if (reset) this.#byObject = new Map()
    for (const object of removed) this.#byObject.delete(object)
    for (const row of changed) {
      const known = before.get(row.object)
      this.#byObject.set(row.object, known && same(known, row) ? known : row)
    }
    this.all = [...this.#byObject.values()].sort(this.order)
  }
}

const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

// Names are compared by their code units, as the engine's other clients do. A locale's order takes 20 times as long.
const text = (a = '', b = '') => (a < b ? -1 : a > b ? 1 : 0)
const byName = <T extends Row & { name: string }>(a: T, b: T) => text(a.name, b.name) || text(a.object, b.object)
const byTag = (a: Image, b: Image) => text(a.repoTag || '\uffff', b.repoTag || '\uffff') || text(a.object, b.object)

export class Engine {
  known = $state(false) // the engine answers, and its objects are known
  reason = $state<string>() // why they are not, while nothing is wrong
  problem = $state.raw<Problem>() // what is wrong

  #containers = new Rows<Container>(byName)
  #images = new Rows<Image>(byTag)
  #volumes = new Rows<Volume>(byName)
  #networks = new Rows<Network>(byName)

  get containers() {
    return this.#containers.all
  }
  get images() {
    return this.#images.all
  }
  get volumes() {
    return this.#volumes.all
  }
  get networks() {
    return this.#networks.all
  }

  // The objects by their names in the control plane. An address has a container's or network's ID, a volume's name.
  container = (object: string) => this.#containers.get(object)
  image = (object: string) => this.#images.get(object)
  volume = (object: string) => this.#volumes.get(object)
  network = (object: string) => this.#networks.get(object)

  take(e: EngineEvent) {
    const reset = e.reset ?? false
    this.#containers.take(reset, e.containers, e.removed?.containers)
    this.#images.take(reset, e.images, e.removed?.images)
    this.#volumes.take(reset, e.volumes, e.removed?.volumes)
    this.#networks.take(reset, e.networks, e.removed?.networks)
    this.known = e.known
    this.reason = e.reason
    this.problem = e.problem
  }
}

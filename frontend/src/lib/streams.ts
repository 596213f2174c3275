// Logs and shells. Data of a stream goes to the reader that opened it.
import type { Stream } from './api'
import type { Remote } from './transport'

export interface Reader {
  data(text: string): void
  end(problem?: Stream['problem']): void
}

export interface Opened {
  id: string
  write(data: string): void
  resize(cols: number, rows: number): void
  close(): void
}

const maxEarlyEvents = 256 // events of a stream whose reader does not know its id yet

export class Streams {
  #readers = new Map<string, Reader>()
  #early = new Map<string, Stream[]>()
  #opening = 0

  constructor(private remote: Remote) {
    remote.on('stream', (event) => this.#arrived(event))
  }

  async open(open: () => Promise<{ stream: string }>, reader: Reader): Promise<Opened> {
    this.#opening++
    let id: string
    try {
      id = (await open()).stream
    } finally {
      this.#opening--
    }
    this.#readers.set(id, reader)
    for (const event of this.#early.get(id) ?? []) this.#arrived(event)
    this.#early.delete(id)
    if (this.#opening === 0) this.#early.clear()
    return this.#opened(id)
  }

  // Writes go one after the other, so that typed keys cannot overtake each other. Keys typed meanwhile are sent together.
  #opened(id: string): Opened {
    let waiting = ''
    let written: Promise<unknown> = Promise.resolve()
    const flush = async () => {
      const data = waiting
      waiting = ''
      if (data && this.#readers.has(id)) await this.remote.call('stream.write', { stream: id, data })
    }
    const quietly = (p: Promise<unknown>) => void p.catch(() => {})
    return {
      id,
      write: (data) => {
        waiting += data
        written = written.then(flush).catch(() => {}) // the stream has ended; its end event says why
      },
      resize: (cols, rows) => {
        if (this.#readers.has(id)) quietly(this.remote.call('stream.resize', { stream: id, cols, rows }))
      },
      close: () => {
        this.#readers.delete(id)
        quietly(this.remote.call('stream.close', { stream: id }))
      },
    }
  }

  #arrived(event: Stream) {
    const reader = this.#readers.get(event.id)
    if (reader) {
      if (event.data) reader.data(event.data)
      if (event.end) {
        this.#readers.delete(event.id)
        reader.end(event.problem)
      }
    } else if (this.#opening > 0) {
      const early = this.#early.get(event.id) ?? []
      this.#early.set(event.id, early)
      if (early.length < maxEarlyEvents) early.push(event)
    }
  }
}

import { expect, test } from 'vitest'
import { Streams } from './streams'
import { Emitter, type Method, type Params, type Remote, type Result } from './transport'

// A remote whose answers wait until the test gives them.
class Slow extends Emitter implements Remote {
  written: string[] = []
  called: string[] = []
  answers: (() => void)[] = []
  start() {}
  close() {}
  call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    this.called.push(method)
    if (method === 'stream.write') this.written.push((params as Params<'stream.write'>).data)
    return new Promise((resolve) => this.answers.push(() => resolve({} as Result<M>)))
  }
}
const settled = () => new Promise((resolve) => setTimeout(resolve))

test('early data of a stream is not lost', async () => {
  const remote = new Slow()
  const streams = new Streams(remote)
  let got = ''
  const opening = streams.open(
    async () => {
      remote.emit('stream', { id: 's1', data: 'early ' })
      remote.emit('stream', { id: 'somebody else', data: 'x' })
      return { stream: 's1' }
    },
    { data: (text) => (got += text), end: () => (got += '.') },
  )
  await opening
  remote.emit('stream', { id: 's1', data: 'late' })
  remote.emit('stream', { id: 's1', end: true })
  expect(got).toBe('early late.')
})

test('typed keys never overtake each other', async () => {
  const remote = new Slow()
  const shell = await new Streams(remote).open(async () => ({ stream: 's1' }), { data: () => {}, end: () => {} })
  shell.write('h')
  await settled()
  for (const key of 'ello') shell.write(key)
  await settled()
  expect(remote.written).toEqual(['h'])
  remote.answers.shift()!()
  await settled()
  expect(remote.written).toEqual(['h', 'ello'])
})

test('a closed stream delivers nothing', async () => {
  const remote = new Slow()
  let got = ''
  const log = await new Streams(remote).open(async () => ({ stream: 's1' }), { data: (t) => (got += t), end: () => {} })
  log.close()
  remote.emit('stream', { id: 's1', data: 'x' })
  expect(got).toBe('')
})

test('nothing is sent to a stream that has ended', async () => {
  const remote = new Slow()
  const shell = await new Streams(remote).open(async () => ({ stream: 's1' }), { data: () => {}, end: () => {} })
  shell.resize(80, 24)
  remote.emit('stream', { id: 's1', end: true })
  shell.resize(80, 20) // the line that says so takes room from the terminal
  shell.write('late')
  await settled()
  expect(remote.called).toEqual(['stream.resize'])
})

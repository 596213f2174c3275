import { cleanup, fireEvent, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test } from 'vitest'
import { Fake } from '../testing/fake'
import { press, show } from '../testing/render'

afterEach(cleanup)

// Starts a VM that never runs, and waits for the timeout question.
async function question() {
  const here = show(new Fake('usual', 1))
  await here.ui.act('start slow', () => here.fake.call('vm.start', { name: 'slow' }))
  return { ...here, dialog: await screen.findByRole('alertdialog', { name: /Start virtual machine slow/ }) }
}
const answers = (fake: Fake) =>
  fake.calls.filter((c) => c.method === 'operation.answer').map((c) => (c.params as { answer: string }).answer)

test.each([
  ['Keep waiting', 'keep', 'running'],
  ['Stop waiting', 'stop-waiting', 'abandoned'],
  ['Force stop', 'force', 'done'],
])('timeout: %s', async (button, answer, state) => {
  const { fake, dialog } = await question()
  await press(button)
  await waitFor(() => expect(dialog.isConnected).toBe(false))
  expect(answers(fake)).toEqual([answer])
  expect(fake.state.operations[0]?.state ?? 'done').toBe(state)
})

test('timeout: Show log shows the console and gives no answer', async () => {
  const { fake } = await question()
  await press('Show log')
  await screen.findByRole('region', { name: 'Log: text' })
  expect(fake.calls.find((c) => c.method === 'log.open')?.params).toEqual({ source: 'serial', vm: 'slow' })
  expect(answers(fake)).toEqual([])
})

test('an open log stays open when a State arrives', async () => {
  const { fake } = await question()
  await press('Show log')
  await screen.findByText(/earlier line 0 /)
  const opened = () => fake.calls.filter((c) => c.method === 'log.open').length
  fake.push()
  fake.push({ operations: fake.state.operations.map((o) => ({ ...o, progress: { ...o.progress, elapsed: 999 } })) })
  await screen.findByText('16 min 39 s')
  expect(opened()).toBe(1)
  fake.link('lost')
  fake.link('up')
  await waitFor(() => expect(opened()).toBe(2)) // the old stream ended with the connection
})

test('timeout: the Force stop button says what may be lost', async () => {
  await question()
  const described = screen.getByRole('button', { name: 'Force stop' }).getAttribute('aria-describedby')!
  expect(document.getElementById(described)!.textContent).toContain('not written to disk')
})

test('timeout: without force there is no Force stop button', async () => {
  const { fake } = await question()
  fake.push({ operations: fake.state.operations.map((o) => ({ ...o, force: undefined })) })
  await waitFor(() => expect(screen.queryByRole('button', { name: 'Force stop' })).toBeNull())
})

test('timeout: the question closes when the VM runs', async () => {
  const { fake, dialog } = await question()
  fake.push({ operations: fake.state.operations.map((o) => ({ ...o, state: 'done' as const })) })
  await waitFor(() => expect(dialog.isConnected).toBe(false))
  expect(answers(fake)).toEqual([])
})

test('timeout: Escape keeps waiting', async () => {
  const { fake, dialog } = await question()
  await fireEvent(dialog, new Event('cancel', { cancelable: true }))
  await waitFor(() => expect(dialog.isConnected).toBe(false))
  expect(answers(fake)).toEqual(['keep'])
})

test('a failed answer can be given again', async () => {
  const { fake } = await question()
  fake.refusals['operation.answer'] = { kind: 'other', message: 'gone' }
  await press('Stop waiting')
  fake.refusals = {}
  await waitFor(() =>
    expect((screen.getByRole('button', { name: 'Stop waiting' }) as HTMLButtonElement).disabled).toBe(false),
  )
})

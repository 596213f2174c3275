import { cleanup, screen, waitFor } from '@testing-library/svelte'
import { afterEach, expect, test } from 'vitest'
import { Fake } from '../testing/fake'
import { press, show } from '../testing/render'
import Engine from './Engine.svelte'

afterEach(cleanup)

const called = (fake: Fake, prefix: string) => fake.calls.map((c) => c.method).filter((m) => m.startsWith(prefix))

test('a start shows its progress in the page, and can be canceled', async () => {
  const { fake } = show(new Fake('stopped', 3_600_000), Engine)
  await press('Start')
  await screen.findByRole('progressbar')
  expect(screen.queryByRole('dialog')).toBeNull()
  await press('Cancel')
  await screen.findByText('Stopping')
  expect(called(fake, 'app.')).toEqual(['app.start'])
  expect(called(fake, 'operation.cancel')).toHaveLength(1)
})

test('what the CLI starts is shown, and canceled with a stop', async () => {
  const { fake } = show(new Fake('stopped', 3_600_000), Engine)
  const starting = {
    state: 'starting',
    running: true,
    progress: { phase: 'boot', step: 2, steps: 6, elapsed: 3 },
  } as const
  fake.push({ service: { ...fake.state.service, state: 'running' }, app: { ...fake.state.app!, ...starting } })
  await screen.findByText(/Step 2 of 6 · boot/)
  await press('Cancel')
  await waitFor(() => expect(called(fake, 'app.')).toEqual(['app.stop']))
})

test('a failed start says why where it was begun, and can be repeated', async () => {
  const { fake } = show(new Fake('stopped', 3_600_000), Engine)
  await press('Start')
  await screen.findByRole('progressbar')
  const problem = { kind: 'other', message: 'the guest did not answer', advice: 'Reset it.', log: '/log/serial.log' }
  fake.push({
    app: {
      ...fake.state.app!,
      state: 'broken',
      running: true,
      message: 'the guest did not answer',
      progress: undefined,
    },
    operations: fake.state.operations.map((o) => ({ ...o, state: 'failed', problem })),
  })
  await screen.findByText('/log/serial.log')
  expect(screen.getAllByText('the guest did not answer')).toHaveLength(1)
  await press('Try again')
  await waitFor(() => expect(called(fake, 'app.')).toEqual(['app.start', 'app.restart']))
  expect(screen.queryByText('/log/serial.log')).toBeNull()
})

test('while the service starts by itself, there is nothing to press', async () => {
  const { fake } = show(new Fake('stopped', 20), Engine)
  fake.push({ service: { ...fake.state.service, state: 'starting' }, app: { ...fake.state.app!, state: 'starting' } })
  const button = await screen.findByRole('button', { name: 'Stop' })
  expect(button.getAttribute('aria-disabled')).toBe('true')
  await press('Stop')
  expect(called(fake, 'app.')).toEqual([])
})

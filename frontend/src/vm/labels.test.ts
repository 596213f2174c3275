import { expect, test } from 'vitest'
import { vmLabel, vmTone } from './labels'

test('an unknown state is shown as it is', () => {
  expect(vmLabel({ state: 'Hibernating' })).toBe('Hibernating')
  expect(vmTone({ state: 'Hibernating' })).toBe('busy')
  expect(vmTone({ state: 'Running', problem: 'disk full' })).toBe('warning')
})

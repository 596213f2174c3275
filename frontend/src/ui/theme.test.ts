import { beforeEach, expect, test } from 'vitest'
import { apply, remembered } from './theme'

beforeEach(() => localStorage.clear())

test.each(['light', 'dark'] as const)('%s is set on the root and remembered for the next visit', (theme) => {
  apply(theme)
  expect(document.documentElement.style.colorScheme).toBe(theme)
  expect(remembered()).toBe(theme)
})

test('system follows the desktop: the root has no theme', () => {
  apply('dark')
  apply('system')
  expect(document.documentElement.style.colorScheme).toBe('')
  expect(remembered()).toBe('system')
})

test('an unknown stored theme is ignored', () => {
  localStorage.setItem('rdd.theme', 'purple')
  expect(remembered()).toBe('system')
})

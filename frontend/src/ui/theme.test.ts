import { beforeEach, expect, test } from 'vitest'
import { apply, remembered } from './theme'

beforeEach(() => localStorage.clear())

test.each(['light', 'dark'] as const)('%s is set on the root and remembered for the next first paint', (theme) => {
  apply(theme)
  expect(document.documentElement.dataset.theme).toBe(theme)
  expect(remembered()).toBe(theme)
})

test('system follows the desktop: the root says nothing', () => {
  apply('dark')
  apply('system')
  expect(document.documentElement.hasAttribute('data-theme')).toBe(false)
  expect(remembered()).toBe('system')
})

test('what somebody else stored is no theme', () => {
  localStorage.setItem('rdd.theme', 'purple')
  expect(remembered()).toBe('system')
})

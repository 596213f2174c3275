import { expect, test } from 'vitest'
import { fixNavigator, pick } from './locale'

test('the language of LANG=C is skipped', () => {
  expect(pick(['C', 'de-CH'])).toBe('de-CH')
  expect(pick(['C'])).toBe('en')
  expect(pick([])).toBe('en')
})

test('libraries under LANG=C get a language that Intl accepts', () => {
  const navigator = { language: 'C', languages: ['C'] } as unknown as Navigator
  fixNavigator(navigator)
  expect(() => new Intl.NumberFormat(navigator.language)).not.toThrow()
  const french = { language: 'fr-FR', languages: ['fr-FR'] } as unknown as Navigator
  fixNavigator(french)
  expect(french.language).toBe('fr-FR')
})

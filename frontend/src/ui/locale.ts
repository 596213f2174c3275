// The user's locale, for numbers and times. All texts are English.
//
// Under LANG=C WebKitGTK calls its language "C", which Intl refuses with a RangeError.

function understood(tag: string): boolean {
  try {
    new Intl.NumberFormat(tag)
    return true
  } catch {
    return false
  }
}

export function pick(wanted: readonly string[]): string {
  return wanted.find(understood) ?? 'en'
}

export const locale = pick([...(navigator.languages ?? []), navigator.language].filter(Boolean))

// Libraries ask the navigator themselves (uPlot does when it is loaded), so a language that Intl refuses is replaced there.
export function fixNavigator(n: Navigator = navigator) {
  if (understood(n.language)) return
  Object.defineProperty(n, 'language', { configurable: true, get: () => locale })
  Object.defineProperty(n, 'languages', { configurable: true, get: () => [locale] })
}

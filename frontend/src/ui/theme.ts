// The theme is an attribute of the root; "system" is its absence, and CSS follows the desktop then.
import type { Settings } from '../lib/api'

export type Theme = Settings['theme']
const key = 'rdd.theme'

export function apply(theme: Theme, root: HTMLElement = document.documentElement) {
  if (theme === 'system') root.removeAttribute('data-theme')
  else root.dataset.theme = theme
  try {
    localStorage.setItem(key, theme)
  } catch {
    // A private window may refuse it; then the first paint follows the desktop.
  }
}

// remembered is the theme of the last visit: known before the first state, so that nothing flashes.
export function remembered(): Theme {
  try {
    const theme = localStorage.getItem(key)
    if (theme === 'light' || theme === 'dark') return theme
  } catch {
    // as above
  }
  return 'system'
}

// The theme is the color-scheme of the root element. Without one of its own, it follows the desktop.
import type { Settings } from '../lib/api'

export type Theme = Settings['theme']
const key = 'rdd.theme'

export function apply(theme: Theme, root: HTMLElement = document.documentElement) {
  root.style.colorScheme = theme === 'system' ? '' : theme
  try {
    localStorage.setItem(key, theme)
  } catch {
    // A private window may refuse storage; then the first paint follows the desktop.
  }
}

// remembered returns the theme of the last visit. It is known before the first State, so the page does not flash.
export function remembered(): Theme {
  try {
    const theme = localStorage.getItem(key)
    if (theme === 'light' || theme === 'dark') return theme
  } catch {
    // A private window may refuse storage.
  }
  return 'system'
}

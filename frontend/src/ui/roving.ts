// Roving focus: one stop of the Tab key for a group, and arrows inside it.

const steps: Record<string, number> = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }

// roving is for a group whose items are all rendered, such as the sidebar and tabs. The current item
// (aria-current or aria-selected) is the one that Tab reaches.
export function roving(selector: string, onmove?: (item: HTMLElement) => void) {
  return (group: HTMLElement) => {
    const items = () => [...group.querySelectorAll<HTMLElement>(selector)]
    const onkeydown = (e: KeyboardEvent) => {
      const all = items()
      const at = all.indexOf(document.activeElement as HTMLElement)
      if (at < 0 || e.altKey || e.ctrlKey || e.metaKey) return
      let to: number
      if (e.key in steps) to = (at + steps[e.key]! + all.length) % all.length
      else if (e.key === 'Home') to = 0
      else if (e.key === 'End') to = all.length - 1
      else return
      e.preventDefault()
      const item = all[to]!
      item.focus()
      onmove?.(item)
    }
    group.addEventListener('keydown', onkeydown)
    return () => group.removeEventListener('keydown', onkeydown)
  }
}

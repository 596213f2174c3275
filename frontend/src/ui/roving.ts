// Roving focus for the links of the sidebar, which bits-ui has nothing for: Tab reaches the current link
// (aria-current), and the arrow keys, Home and End move between all of them.

const steps: Record<string, number> = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }

export function roving(group: HTMLElement) {
  const onkeydown = (e: KeyboardEvent) => {
    const links = [...group.querySelectorAll<HTMLElement>('a')]
    const at = links.indexOf(document.activeElement as HTMLElement)
    if (at < 0 || e.altKey || e.ctrlKey || e.metaKey) return
    let to: number
    if (e.key in steps) to = (at + steps[e.key]! + links.length) % links.length
    else if (e.key === 'Home') to = 0
    else if (e.key === 'End') to = links.length - 1
    else return
    e.preventDefault()
    links[to]!.focus()
  }
  group.addEventListener('keydown', onkeydown)
  return () => group.removeEventListener('keydown', onkeydown)
}

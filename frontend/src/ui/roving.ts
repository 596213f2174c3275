// Roving focus for the links of the sidebar, which bits-ui has nothing for: Tab reaches the current link
// (aria-current), and the arrow keys, Home and End move between all of them.

export function roving(group: HTMLElement) {
  const onkeydown = (e: KeyboardEvent) => {
    const links = [...group.querySelectorAll<HTMLElement>('a')]
    const at = links.indexOf(document.activeElement as HTMLElement)
    const [before, after] = [at - 1, (at + 1) % links.length]
    const to = { ArrowUp: before, ArrowLeft: before, ArrowDown: after, ArrowRight: after, Home: 0, End: -1 }[e.key]
    if (at < 0 || to === undefined || e.altKey || e.ctrlKey || e.metaKey) return
    e.preventDefault()
    links.at(to)!.focus()
  }
  group.addEventListener('keydown', onkeydown)
  return () => group.removeEventListener('keydown', onkeydown)
}

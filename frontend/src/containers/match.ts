// Which containers a search finds: those that have each of its words in the name, the image, the ID or a label.
import type { Container } from '../lib/api'

const texts = new WeakMap<Container, string>() // a container that changes is another object

function text(c: Container): string {
  let known = texts.get(c)
  if (known === undefined) {
    const labels = Object.entries(c.labels ?? {}).map(([key, value]) => `${key}=${value}`)
    known = [c.name, c.image, c.id, ...labels].join('\n').toLowerCase()
    texts.set(c, known)
  }
  return known
}

export function search(containers: readonly Container[], wanted: string): readonly Container[] {
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean)
  return words.length ? containers.filter((c) => words.every((word) => text(c).includes(word))) : containers
}

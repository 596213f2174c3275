// Paths in containers and volumes.

export const join = (folder: string, name: string) => `${folder.replace(/\/$/, '')}/${name}`

// crumbs returns the folders above a path, from / to itself.
export function crumbs(path: string): { name: string; path: string }[] {
  const names = path.split('/').filter(Boolean)
  return [{ name: '/', path: '/' }, ...names.map((name, i) => ({ name, path: `/${names.slice(0, i + 1).join('/')}` }))]
}

const kinds = ['r', 'w', 'x']

// permissions writes octal permissions as ls does: 0644 is rw-r--r--.
export function permissions(mode: string): string {
  const bits = parseInt(mode, 8)
  if (Number.isNaN(bits)) return mode
  return Array.from({ length: 9 }, (_, i) => ((bits >> (8 - i)) & 1 ? kinds[i % 3] : '-')).join('')
}

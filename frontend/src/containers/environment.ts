// The environment of a container, from what the engine says about it.

interface Inspected {
  Config?: { Env?: string[] | null }
}

export function environment(inspected: string): Record<string, string> {
  let found: Inspected | undefined
  try {
    const parsed = JSON.parse(inspected) as Inspected | Inspected[]
    found = Array.isArray(parsed) ? parsed[0] : parsed
  } catch {
    return {}
  }
  return Object.fromEntries(
    (found?.Config?.Env ?? []).map((line) => {
      const at = line.indexOf('=')
      return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1)]
    }),
  )
}

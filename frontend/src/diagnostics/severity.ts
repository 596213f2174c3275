// How bad the findings of diagnostics are.
import type { Finding } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import { count } from '../ui/format'
import type { Badge } from '../ui/tone'

const severities = ['problem', 'warning', 'ok']

export function bySeverity(findings: Finding[]): Finding[] {
  return findings.toSorted((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity))
}

// summary counts findings: "1 problem, 2 warnings", or nothing if all is well.
export function summary(findings: Finding[]): string {
  const of = (severity: string) => findings.filter((f) => f.severity === severity).length
  return ['problem', 'warning'].flatMap((s) => (of(s) ? [count(of(s), s)] : [])).join(', ')
}

// findingsBadge counts problems, or, where there are none, warnings.
export function findingsBadge({ findings }: Pick<Store, 'findings'>): Badge | undefined {
  const [worst] = bySeverity(findings)
  if (!worst || worst.severity === 'ok') return undefined
  const tone = worst.severity
  const n = findings.filter((f) => f.severity === tone).length
  return { count: n, label: count(n, tone), tone }
}

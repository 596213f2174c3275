// How bad a finding is, and what is said of all of them.
import type { Finding } from '../lib/api'
import type { Store } from '../lib/store.svelte'
import { count } from '../ui/format'
import type { Badge } from '../ui/tone'

const severities = ['problem', 'warning', 'ok']

export function bySeverity(findings: Finding[]): Finding[] {
  return findings.toSorted((a, b) => severities.indexOf(a.severity) - severities.indexOf(b.severity))
}

export function findingsBadge({ findings }: Pick<Store, 'findings'>): Badge | undefined {
  if (findings.length === 0) return undefined
  return { count: findings.length, label: count(findings.length, 'finding'), tone: 'problem' }
}

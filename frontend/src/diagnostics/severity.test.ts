import { expect, test } from 'vitest'
import type { Finding } from '../lib/api'
import { bySeverity, findingsBadge, summary } from './severity'

const finding = (severity: Finding['severity']): Finding => ({ check: 'x', id: 'x', severity, what: '' })
const [ok, warning, problem] = (['ok', 'warning', 'problem'] as const).map(finding) as [Finding, Finding, Finding]

test('the worst findings come first', () => {
  expect(bySeverity([ok, warning, problem])).toEqual([problem, warning, ok])
})

test.each([
  [[], '', undefined],
  [[ok], '', undefined],
  [[warning, warning], '2 warnings', { count: 2, label: '2 warnings', tone: 'warning' }],
  [[warning, problem], '1 problem, 1 warning', { count: 1, label: '1 problem', tone: 'problem' }],
])('the badge is red for problems only', (findings, text, badge) => {
  expect(summary(findings)).toBe(text)
  expect(findingsBadge({ findings })).toEqual(badge)
})

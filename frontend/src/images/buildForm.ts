// The form of a build. It is kept while the page is open, because a build is often tried again.
import type { BuildParams } from '../lib/api'

export interface BuildForm {
  folder: string
  tag: string
  dockerfile: string
  target: string
  args: { name: string; value: string }[]
  pull: boolean
  noCache: boolean
  opened: boolean // the options that are rarely used are shown
}

export const emptyForm = (): BuildForm => ({
  folder: '',
  tag: '',
  dockerfile: '',
  target: '',
  args: [],
  pull: false,
  noCache: false,
  opened: false,
})

// buildParams returns the parameters of a call. What is empty is left out.
export function buildParams(form: BuildForm): BuildParams {
  const given = (name: 'tag' | 'dockerfile' | 'target') => {
    const value = form[name].trim()
    return value ? { [name]: value } : {}
  }
  const args = form.args.filter((a) => a.name.trim()).map((a) => [a.name.trim(), a.value] as const)
  return {
    folder: form.folder.trim(),
    ...given('tag'),
    ...given('dockerfile'),
    ...given('target'),
    ...(args.length && { args: Object.fromEntries(args) }),
    ...(form.pull && { pull: true }),
    ...(form.noCache && { noCache: true }),
  }
}

// CodeMirror as a YAML editor in the colours of the page. It is a module of its own, so that it is loaded only when needed.
import { yaml } from '@codemirror/lang-yaml'
import { HighlightStyle, syntaxHighlighting } from '@codemirror/language'
import { EditorState } from '@codemirror/state'
import { EditorView } from '@codemirror/view'
import { tags } from '@lezer/highlight'
import { basicSetup } from 'codemirror'

const theme = EditorView.theme({
  '&': { height: '100%', fontSize: '12px', color: 'var(--color-text)', backgroundColor: 'var(--color-well)' },
  '&.cm-focused': { outline: '2px solid var(--color-link)', outlineOffset: '-2px' },
  '.cm-scroller': { fontFamily: 'var(--font-mono, monospace)', overflow: 'auto' },
  '.cm-content': { caretColor: 'var(--color-text)' },
  '.cm-cursor': { borderLeftColor: 'var(--color-text)' },
  '.cm-gutters': {
    backgroundColor: 'var(--color-side)',
    color: 'var(--color-dim)',
    borderRight: '1px solid var(--color-line)',
  },
  '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--color-link) 8%, transparent)' },
  '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground': {
    backgroundColor: 'color-mix(in srgb, var(--color-link) 30%, transparent)',
  },
  '.cm-panels': { backgroundColor: 'var(--color-side)', color: 'var(--color-text)' },
})

const colours = HighlightStyle.define([
  { tag: [tags.propertyName, tags.definition(tags.propertyName), tags.attributeName], color: 'var(--color-link)' },
  { tag: [tags.string, tags.content], color: 'var(--color-text)' },
  { tag: [tags.number, tags.bool, tags.keyword, tags.atom], color: 'var(--color-ok)' },
  { tag: tags.comment, color: 'var(--color-dim)', fontStyle: 'italic' },
])

interface Options {
  value: string
  attributes: () => Record<string, string> // of the text; an update of the view reads them again
  readonly: boolean
  changed: (text: string) => void
}

export function edit(parent: HTMLElement, o: Options): EditorView {
  return new EditorView({
    parent,
    state: EditorState.create({
      doc: o.value,
      extensions: [
        basicSetup,
        yaml(),
        theme,
        syntaxHighlighting(colours),
        EditorView.contentAttributes.of(o.attributes),
        EditorState.readOnly.of(o.readonly),
        EditorView.updateListener.of((u) => {
          if (u.docChanged) o.changed(u.state.doc.toString())
        }),
      ],
    }),
  })
}

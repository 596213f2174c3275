// xterm.js, fitted to its parent. It is a module of its own, so that it is loaded only when needed.
import { FitAddon } from '@xterm/addon-fit'
import { Terminal } from '@xterm/xterm'

export function terminal(parent: HTMLElement) {
  const t = new Terminal({
    fontFamily: "ui-monospace, 'Noto Sans Mono', 'DejaVu Sans Mono', monospace",
    fontSize: 13,
    scrollback: 5000,
    theme: { background: '#15171a', foreground: '#e9ebee' },
  })
  const fit = new FitAddon()
  t.loadAddon(fit)
  t.open(parent)
  fit.fit()
  // F6 leaves the terminal: the page handles it.
  t.attachCustomKeyEventHandler((e) => e.key !== 'F6')
  const size = new ResizeObserver(() => fit.fit())
  size.observe(parent)
  return {
    cols: () => t.cols,
    rows: () => t.rows,
    write: (text: string) => t.write(text),
    focus: () => t.focus(),
    onInput: (f: (data: string) => void) => void t.onData(f),
    onResize: (f: (cols: number, rows: number) => void) => void t.onResize(({ cols, rows }) => f(cols, rows)),
    dispose: () => {
      size.disconnect()
      t.dispose()
    },
  }
}

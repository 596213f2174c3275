import { svelte } from '@sveltejs/vite-plugin-svelte'
import tailwindcss from '@tailwindcss/vite'
import { svelteTesting } from '@testing-library/svelte/vite'
import { defineConfig } from 'vitest/config'

// What app/web sends with the page, so that a violation is seen here first.
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; " +
  "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// `make dev` without a display: the dev server asks the Go side at RDD_URL, in the session that this address begins.
async function goSide(address: string) {
  const { origin } = new URL(address)
  const answer = await fetch(address, { redirect: 'manual' })
  const cookie = answer.headers.getSetCookie().map((c) => c.split(';')[0])
  return { '/api': { target: origin, changeOrigin: true, headers: { cookie: cookie.join('; '), origin } } }
}

export default defineConfig(async ({ mode, command, isPreview }) => ({
  base: './',
  plugins: [svelte(), tailwindcss(), svelteTesting()],
  build: {
    outDir: mode === 'fake' ? 'node_modules/.cache/fake' : 'dist',
    emptyOutDir: true,
    target: 'es2022',
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 800,
    rolldownOptions: { checks: { pluginTimings: false } },
  },
  // What is loaded later, so that the dev server prepares it at once: else it reloads the page when it finds it.
  optimizeDeps: {
    include: [
      'uplot',
      '@xterm/xterm',
      '@xterm/addon-fit',
      'codemirror',
      '@codemirror/lang-yaml',
      '@codemirror/language',
      '@codemirror/state',
      '@codemirror/view',
      '@lezer/highlight',
    ],
  },
  server: {
    host: '127.0.0.1',
    proxy: command === 'serve' && !isPreview && process.env.RDD_URL ? await goSide(process.env.RDD_URL) : undefined,
  },
  preview: { host: '127.0.0.1', port: 4173, strictPort: true, headers: { 'Content-Security-Policy': policy } },
  test: {
    testTimeout: 60_000,
    hookTimeout: 60_000,
    environment: 'jsdom',
    setupFiles: ['src/testing/setup.ts'],
    include: ['src/**/*.test.ts'],
  },
}))

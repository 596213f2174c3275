// Package page is the API of the desktop's page: one table of typed methods, and events that push the whole
// state on each change. The window and the browser mode carry it, so it knows neither.
// The page's types, frontend/src/lib/api.ts, are generated from Methods (build/pageapi).
package page

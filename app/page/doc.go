// Package page is the API of the desktop's page: one table of typed methods, and events that push the whole
// state on each change. The window and the browser mode carry it, so it knows neither.
// Its contract with the page is frontend/src/lib/api.ts; a test holds the two together.
package page

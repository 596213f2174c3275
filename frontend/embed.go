// Package frontend holds the built page, which the window and the browser mode serve.
package frontend

import (
	"embed"
	"io/fs"
)

//go:embed all:dist notbuilt
var embedded embed.FS

// Files returns the files of the page. If `make build` has not built it, its index.html says so.
func Files() fs.FS { return files(embedded) }

func files(all fs.FS) fs.FS {
	dir := "dist"
	if _, err := fs.Stat(all, "dist/index.html"); err != nil {
		dir = "notbuilt"
	}
	sub, err := fs.Sub(all, dir)
	if err != nil {
		panic(err) // the name is valid
	}
	return sub
}

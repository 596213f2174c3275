// Command links writes which modules each program links, on Linux. `make generate` calls it, and `make verify`
// compares: a program that grows shows in the diff of the change that made it grow.
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
)

// programs are the mains; the window is at the root.
var programs = []struct{ name, path, tags string }{
	{"rdd", "./cmd/rdd", "grpcnotrace"},
	{"rddd", "./cmd/rddd", "grpcnotrace"},
	{"rdd-lima", "./cmd/rdd-lima", "grpcnotrace"},
	{"rdd-kubectl", "./cmd/rdd-kubectl", "grpcnotrace"},
	{"rdd-tray", "./cmd/rdd-tray", "grpcnotrace"},
	{"rdd-web", "./cmd/rdd-web", "grpcnotrace"},
	{"rdd-window", ".", "grpcnotrace,desktop,production,webkit2_41"},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "links:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: links FILE")
	}
	var out bytes.Buffer
	for _, p := range programs {
		modules, err := modulesOf(p.path, p.tags)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Fprintf(&out, "%s\n", p.name)
		for _, m := range modules {
			fmt.Fprintf(&out, "  %s\n", m)
		}
	}
	return os.WriteFile(args[0], out.Bytes(), 0o644)
}

// modulesOf lists the modules of others that a package links.
func modulesOf(path, tags string) ([]string, error) {
	cmd := exec.Command("go", "list", "-deps", "-tags", tags, "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", path)
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=1") // the same on every machine
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	return slices.Compact(modules), nil
}

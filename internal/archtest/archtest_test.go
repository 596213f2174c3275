package archtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

const module = "rancherdesktop.io/rdd"

// root is the relative path to the folder of go.mod.
const root = "../.."

// pkg is what `go list` prints about a package of this module.
type pkg struct {
	Dir, ImportPath, Name, Doc string
	GoFiles, Imports, Deps     []string
	IgnoredGoFiles             []string // for other systems, and those of the window, which need build tags
}

// path returns the import path within the module. It is empty for the window's main, at the root.
func (p pkg) path() string { return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/") }

// listed runs `go list` once for all tests.
var listed = sync.OnceValues(func() (all []pkg, err error) {
	cmd := exec.Command("go", "list", "-json=Dir,ImportPath,Name,Doc,GoFiles,IgnoredGoFiles,Imports,Deps", module+"/...")
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, &problem)
	}
	for dec := json.NewDecoder(&out); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if !below(p.path(), "frontend/node_modules") { // some npm packages have Go files
			all = append(all, p)
		}
	}
})

func ourPackages(t *testing.T) []pkg {
	t.Helper()
	all, err := listed()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

// below reports whether path is folder or inside it.
func below(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

// forTests reports whether p is only for tests, like httptest. No program may link it.
func forTests(p pkg) bool { return strings.HasSuffix(p.Name, "test") || p.Name == "testenv" }

const (
	apiServer  = "k8s.io/apiserver"
	kubernetes = "k8s.io/kubernetes"
	kine       = "github.com/k3s-io/kine"
	lima       = "github.com/lima-vm/lima"
	kubectl    = "k8s.io/kubectl"
	systray    = "fyne.io/systray"
	notify     = "github.com/esiqveland/notify"
	beeep      = "github.com/gen2brain/beeep"
	service    = "github.com/kardianos/service"
	wails      = "github.com/wailsapp/wails"
	mobyClient = "github.com/moby/moby/client"
	containerd = "github.com/containerd/containerd"
)

// importers lists the only packages that may import a module, and why.
var importers = map[string]struct {
	only   []string
	reason string
}{
	kubernetes: {[]string{"internal/controlplane"}, "all other packages must build without it"},
	apiServer:  {[]string{"internal/controlplane"}, "all other packages must build without it"},
	kine:       {[]string{"internal/datastore"}, "everything else sees only the etcd API"},
	lima:       {[]string{"internal/lima"}, "a leak or crash in Lima must not affect the core"},
	kubectl:    {[]string{"cmd/rdd-kubectl"}, "it adds 60 MB to a program"},
	mobyClient: {[]string{"internal/engine/moby", "core"}, "each engine's API belongs to one package of the service, and to the core"},
	containerd: {[]string{"internal/engine/containerd"}, "each engine's API belongs to one package"},
	wails:      {[]string{"app/window"}, "the page works without it"},
	systray:    {[]string{"app/tray"}, "only the tray has a system tray icon"},
	notify:     {[]string{"app/notify"}, "only app/notify knows how a desktop shows notifications"},
	beeep:      {[]string{"app/notify"}, "only app/notify knows how a desktop shows notifications"},
	service:    {[]string{"internal/login"}, "only internal/login knows how programs start at login"},
}

func TestImporters(t *testing.T) {
	for _, p := range ourPackages(t) {
		for _, imported := range append(p.Imports, ignoredImports(t, p)...) {
			for name, rule := range importers {
				allowed := slices.ContainsFunc(rule.only, func(folder string) bool { return below(p.path(), folder) })
				if below(imported, name) && !allowed {
					t.Errorf("%s imports %s, which only %v may: %s", p.path(), imported, rule.only, rule.reason)
				}
			}
		}
	}
}

// ignoredImports returns the imports of files that are not built on this system.
func ignoredImports(t *testing.T, p pkg) (all []string) {
	t.Helper()
	for _, name := range p.IgnoredGoFiles {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			all = append(all, strings.Trim(spec.Path.Value, `"`))
		}
	}
	return all
}

// links lists what a program must not link, not even indirectly.
var links = map[string][]string{
	"cmd/rdd":      {apiServer, kubernetes, kine, lima, kubectl, "sigs.k8s.io/controller-runtime", systray, notify, containerd},
	"cmd/rdd-tray": {apiServer, kubernetes, kine, lima, kubectl, "sigs.k8s.io/controller-runtime", "github.com/spf13/cobra"},
	"cmd/rddd":     {lima, kubectl + "/pkg/cmd"}, // Kubernetes itself uses a few of kubectl's types
	"cmd/rdd-lima": {apiServer, kubernetes, kine},
	"core":         {apiServer, kubernetes, kine, lima, kubectl},
	"cmd/rdd-web":  {apiServer, kubernetes, kine, lima, kubectl, wails},
	"":             {apiServer, kubernetes, kine, lima, kubectl},
}

func TestPrograms(t *testing.T) {
	found := 0
	for _, p := range ourPackages(t) {
		forbidden, ok := links[p.path()]
		if !ok {
			continue
		}
		found++
		for _, dep := range p.Deps {
			for _, name := range forbidden {
				if below(dep, name) {
					t.Errorf("%s links %s", p.path(), dep)
				}
			}
		}
	}
	if found != len(links) {
		t.Errorf("found %d of the %d programs", found, len(links))
	}
}

func TestLayers(t *testing.T) {
	for _, p := range ourPackages(t) {
		for _, imported := range p.Imports {
			if imported == module {
				t.Errorf("%s imports the window's main", p.path())
			}
			ours, ok := strings.CutPrefix(imported, module+"/")
			if !ok {
				continue
			}
			switch {
			case below(ours, "cmd"):
				t.Errorf("%s imports %s, which is a main package", p.path(), ours)
			case below(p.path(), "app") && !below(ours, "core") && !below(ours, "app"):
				t.Errorf("%s imports %s; clients may import only core and app", p.path(), ours)
			case below(p.path(), "internal") && (below(ours, "app") || below(ours, "core")):
				t.Errorf("%s imports %s; internal must not import core or app", p.path(), ours)
			case below(p.path(), "internal/wait"), below(p.path(), "internal/diag"), below(p.path(), "internal/instance") && ours != "internal/diag", below(p.path(), "internal/api") && !below(ours, "internal/api"):
				t.Errorf("%s imports %s, a package above it", p.path(), ours)
			}
		}
	}
}

func TestProgramsLinkNoTestPackages(t *testing.T) {
	for _, p := range ourPackages(t) {
		for _, dep := range p.Deps {
			if p.Name == "main" && below(dep, module) && (strings.HasSuffix(dep, "test") || strings.HasSuffix(dep, "/testenv")) {
				t.Errorf("%s links %s, which is for tests", p.path(), dep)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIsFor(t *testing.T) {
	for _, p := range ourPackages(t) {
		if len(strings.Fields(p.Doc)) < 4 {
			t.Errorf("%s has no package comment", p.path())
		}
	}
}

// environment lists the functions of os that only the mains and internal/instance may call.
var environment = map[string]bool{"Getenv": true, "LookupEnv": true, "Environ": true, "ExpandEnv": true, "Args": true, "Getwd": true, "Setenv": true}

func TestNoInitNoBlankImportsNoHiddenEnvironment(t *testing.T) {
	for _, p := range ourPackages(t) {
		// Lima's settings are environment variables, so internal/lima has to set them.
		reads := forTests(p) || p.path() == "" || slices.ContainsFunc([]string{"cmd", "internal/instance", "internal/lima", "build"}, func(folder string) bool { return below(p.path(), folder) })
		for _, name := range append(p.GoFiles, p.IgnoredGoFiles...) {
			if strings.HasPrefix(name, "zz_generated") {
				continue
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					if n.Recv == nil && n.Name.Name == "init" {
						t.Errorf("%s: no init functions", fset.Position(n.Pos()))
					}
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && x.Name == "os" && environment[n.Sel.Name] && !reads {
						t.Errorf("%s: os.%s belongs in cmd or internal/instance", fset.Position(n.Pos()), n.Sel.Name)
					}
				case *ast.ImportSpec:
					if n.Name != nil && n.Name.Name == "_" && n.Path.Value != `"embed"` {
						t.Errorf("%s: no blank imports", fset.Position(n.Pos()))
					}
				}
				return true
			})
		}
	}
}

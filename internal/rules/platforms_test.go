package rules

import (
	"os"
	"testing"

	"golang.org/x/tools/go/packages"
)

// platforms lists what RDD is built for, besides the platform of the tests.
var platforms = []struct {
	os, arch string
	programs []string
}{
	{"linux", "arm64", []string{"rdd", "rddd", "rdd-lima", "rdd-web", "rdd-window", "rdd-tray"}},
	{"windows", "amd64", []string{"rdd", "rddd", "rdd-lima", "rdd-web", "rdd-window", "rdd-tray"}},
	{"darwin", "arm64", []string{"rdd", "rddd", "rdd-web", "rdd-window"}}, // Lima and the tray need cgo there
}

// Every program, with all it links, passes the checks of a compiler on every platform. This takes a fortieth
// of the time of `make cross`, which makes code of it and links it.
func TestProgramsTypeCheckOnEveryPlatform(t *testing.T) {
	if testing.Short() {
		t.Skip("type-checks Kubernetes three times")
	}
	for _, p := range platforms {
		t.Run(p.os+"/"+p.arch, func(t *testing.T) {
			var paths []string
			for _, program := range p.programs {
				paths = append(paths, module+"/cmd/"+program)
			}
			found, err := packages.Load(&packages.Config{
				Mode: packages.LoadAllSyntax, BuildFlags: []string{"-tags=grpcnotrace"},
				Env: append(os.Environ(), "GOOS="+p.os, "GOARCH="+p.arch, "CGO_ENABLED=0"),
			}, paths...)
			if err != nil || len(found) != len(paths) {
				t.Fatalf("%d programs: %v", len(found), err)
			}
			packages.Visit(found, nil, func(pkg *packages.Package) {
				for _, problem := range pkg.Errors {
					t.Error(problem)
				}
			})
		})
	}
}

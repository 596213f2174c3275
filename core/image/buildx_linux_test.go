package image

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/moby/client"

	"rancherdesktop.io/rdd/internal/testenv"
)

// RDD's own buildx builds with a private base image, whose password only a helper in the caller's PATH knows.
func TestWithARealBuildx(t *testing.T) {
	buildx := testenv.Built(t, "libexec/rdd/cli-plugins/docker-buildx", "make tools")
	c, home, registry := realEngine(t)
	private := registry + "/team/base:1"
	tag(t, c, "base:1", private)
	if err := c.Push(t.Context(), private, Report{}); err != nil {
		t.Fatal(err)
	}
	remove(t, c, private, "base:1")
	if err := os.Symlink(buildx, filepath.Join(home, "bin", "docker-buildx")); err != nil {
		t.Fatal(err)
	}
	// A bad entry would make docker's own reader fail.
	write(t, home, ".docker/config.json", `{"credHelpers":{"`+registry+`":"test"}}`)
	write(t, home, "Dockerfile", "FROM "+private+" AS first\nARG WHO\nLABEL who=$WHO\nCOPY a.txt /\n")
	write(t, home, ".dockerignore", "*\n!a.txt\n")
	write(t, home, "a.txt", "a")
	var s said
	err := c.Build(t.Context(), BuildOptions{Folder: home, Tag: "shop:1", Target: "first", Args: map[string]string{"WHO": "me"}, Pull: true}, s.report())
	text := strings.Join(s.lines, "\n") + s.log.String()
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	built, err := engineOf(t, c).ImageInspect(t.Context(), "shop:1")
	if err != nil || built.Config.Labels["who"] != "me" {
		t.Errorf("%v, %+v", err, built.Config)
	}
	for _, want := range []string{"=> [1/2] FROM " + private, "=> [2/2] COPY a.txt /", ": Done "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(text, "s3cret") || strings.Contains(text, "old builder") {
		t.Error(text)
	}

	write(t, home, "Dockerfile", "FROM "+private+"\nCOPY missing.txt /\n")
	if err := c.Build(t.Context(), BuildOptions{Folder: home}, Report{}); err == nil || !strings.Contains(err.Error(), "missing.txt") || strings.Contains(err.Error(), "exit status") {
		t.Errorf("%v", err)
	}
	if _, err := engineOf(t, c).BuildCachePrune(t.Context(), client.BuildCachePruneOptions{All: true}); err != nil {
		t.Error(err)
	}
}

package frontend

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func TestAPageThatIsNotBuiltSaysSo(t *testing.T) {
	notBuilt, err := embedded.ReadFile("notbuilt/index.html")
	if err != nil {
		t.Fatal(err)
	}
	all := fstest.MapFS{"dist/.gitkeep": {}, "notbuilt/index.html": {Data: notBuilt}}
	if text, err := fs.ReadFile(files(all), "index.html"); err != nil || !strings.Contains(string(text), "make build") {
		t.Errorf("without a page: %s, %v", text, err)
	}
	all["dist/index.html"] = &fstest.MapFile{Data: []byte("the page")}
	if text, err := fs.ReadFile(files(all), "index.html"); err != nil || string(text) != "the page" {
		t.Errorf("with a page: %s, %v", text, err)
	}
}

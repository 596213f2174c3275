package instance

import (
	"strings"
	"testing"
)

func TestHomeWithACharacterThatBreaksQEMUOrSSHIsRefusedByName(t *testing.T) {
	for path, want := range map[string]string{
		"/home/me/.rdd/i": "", "/home/O'Brien, Pat (x) #1; a&b ~é日本/.rdd/i": "",
		"/home/100%/x": `"%"`, `/home/a"b`: `"\""`, "/home/a:b": `":"`, "/home/a\tb": "tab", "/home/a\nb": "newline", "/home/a\x01b": `"\x01"`,
		"/home/$USER": `"$"`, "/home/`id`": "\"`\"", `/home/DOMAIN\me`: `"\\"`, "/home/a[b": `"["`, "/home/a*": `"*"`, "/home/a?": `"?"`, "/home/\xff": "not UTF-8",
	} {
		err := checkCharacters(path, "linux")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", path, err)
		}
	}
	for path, refused := range map[string]bool{`C:\Users\me\.rdd\i`: false, `C:\Users\O'Brien\.rdd\i`: true, `C:\a,b`: true, `C:\a:b`: false} {
		if err := checkCharacters(path, "windows"); (err != nil) != refused {
			t.Errorf("%q: %v", path, err)
		}
	}
}

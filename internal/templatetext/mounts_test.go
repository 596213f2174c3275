package templatetext

import (
	"slices"
	"strings"
	"testing"
)

func TestMountsAreChangedInPlace(t *testing.T) {
	mounts := []Mount{{Location: "/home/me", Writable: true}, {Location: `/mnt/a #1 $x: "ü" \ <&>{}[],'%`}}
	for _, template := range []string{"cpus: 2\nmounts: []  # none\ndisk: 1GiB\n", "cpus: 2\n", "mounts: [{location: /old}]\n", "mounts:\n"} {
		text, err := WithMounts(template, mounts)
		if err != nil {
			t.Errorf("%q: %v", template, err)
			continue
		}
		if got, err := MountsOf(text); err != nil || !slices.Equal(got, mounts) {
			t.Errorf("%q became %q: %+v, %v", template, text, got, err)
		}
		if again, err := WithMounts(text, mounts); err != nil || again != text {
			t.Errorf("the same again: %q, %v", again, err)
		}
		none, err := WithMounts(text, nil)
		if got, e := MountsOf(none); err != nil || e != nil || len(got) != 0 {
			t.Errorf("none: %q: %+v, %v, %v", none, got, err, e)
		}
		if strings.Contains(template, "# none") && none != template {
			t.Errorf("there and back: %q", none)
		}
	}
	if text, err := WithMounts("mounts:\n- location: /a\n", mounts); err == nil {
		t.Errorf("a list on several lines became %q", text)
	}
}

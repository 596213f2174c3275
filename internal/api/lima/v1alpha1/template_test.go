package v1alpha1

import (
	"errors"
	"strings"
	"testing"
)

func TestAConfigMapWithoutTheKeyIsNotCalledNonexistent(t *testing.T) {
	ref := TemplateRef{Name: "mine", Namespace: "work"}
	for name, tc := range map[string]struct {
		found  bool
		data   map[string]string
		binary map[string][]byte
		want   string // empty: there is one
	}{
		"whole":     {true, map[string]string{"template": "images: []", "a": "b"}, nil, ""},
		"missing":   {false, nil, nil, `there is no ConfigMap "mine" in namespace "work"; make it with: rdd ctl create configmap mine --namespace work`},
		"other key": {true, map[string]string{"mine.yaml": "x", "a": "y"}, nil, `the ConfigMap "mine" in namespace "work" has no key "template", where a template belongs; it has: a, mine.yaml; put one there with: rdd ctl create`},
		"empty":     {true, nil, nil, `is empty`},
		"no text":   {true, map[string]string{"template": " \n"}, nil, `has nothing under the key "template"`},
		"binary":    {true, nil, map[string][]byte{"template": {0xff}}, `has binary data under the key "template"`},
	} {
		text, err := TemplateIn(ref, tc.found, tc.data, tc.binary)
		if tc.want == "" {
			if err != nil || text != tc.data["template"] {
				t.Errorf("%s: %q, %v", name, text, err)
			}
			continue
		}
		if missing, ok := errors.AsType[*MissingTemplateError](err); !ok || missing.Ref != ref || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

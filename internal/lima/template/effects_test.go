//go:build unix

package template

import (
	"errors"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/internal/lima"
	"rancherdesktop.io/rdd/internal/machine/layout"
)

// verdict is what is expected of a template; without says it is accepted.
type verdict struct{ name, template, field, says string }

func judged(t *testing.T, vm layout.VM, verdicts []verdict) {
	t.Helper()
	for _, tc := range verdicts {
		t.Run(tc.name, func(t *testing.T) {
			err := Validate(vm, []byte(minimal+tc.template), nil, true)
			if tc.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if p, ok := errors.AsType[*lima.PermanentError](err); !ok || p.Field != tc.field || !strings.Contains(p.Error(), tc.says) {
				t.Errorf("%T %v", err, err)
			}
		})
	}
}

package page

import (
	"encoding/json"
	"strings"
	"testing"

	"rancherdesktop.io/rdd/core"
	"rancherdesktop.io/rdd/core/template"
)

func TestParametersAreReadStrictly(t *testing.T) {
	for _, tc := range []struct{ raw, field string }{
		{`{}`, "name"},
		{``, "name"},
		{`{"name": null, "template": "x", "start": true}`, "name"},
		{`{"name": "a", "template": "x", "start": "yes"}`, "start"},
		{`{"name": "a", "template": "x", "start": true, "colour": 1}`, "colour"},
		{`{"name": "a", "template": "x", "start": true, "resources": {"cpus": 1, "memory": 1}}`, "resources.disk"},
		{`{"name": "a", "template": "x", "start": true, "resources": {"cpus": 1.5, "memory": 1, "disk": 1}}`, "resources.cpus"},
		{`{"name": "a", "template": "x", "start": true, "resources": {"cpus": 1, "memory": 1, "disk": 1, "gpus": 1}}`, "resources.gpus"},
		{`{"name": "a", "template": "x", "start": true, "params": {"k": 1}}`, "params"},
	} {
		var p CreateParams
		problem := problemOf(decode([]byte(tc.raw), &p))
		if problem.Kind != "usage" || problem.Field != tc.field || !strings.Contains(problem.Message, tc.field) {
			t.Errorf("%s: %+v", tc.raw, problem)
		}
	}
	var p CreateParams
	if err := decode([]byte(`{"name": "a", "template": "x", "start": true, "resources": {"cpus": 1, "memory": 2, "disk": 3}}`), &p); err != nil || p.Resources == nil || *p.Resources != (template.Resources{CPUs: 1, Memory: 2, Disk: 3}) {
		t.Error(p, err)
	}
	if err := decode([]byte(`[1]`), &p); core.KindOf(err) != core.Usage {
		t.Error(err)
	}
	if err := decode([]byte(`{`), &p); core.KindOf(err) != core.Usage {
		t.Error(err)
	}
}

func TestListsAreNeverNull(t *testing.T) {
	b, err := json.Marshal(newTestAPI(t).State())
	if err != nil || strings.Contains(string(b), "null") {
		t.Errorf("%v %s", err, b)
	}
}

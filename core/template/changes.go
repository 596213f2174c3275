package template

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/docker/go-units"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// Changes compares what a guest was started with and what the next one will be.
func Changes(launched, wanted event.Job) ([]string, error) {
	var changes []string
	was, err := ResourcesOf(launched.Template)
	if err != nil {
		return nil, err
	}
	next, err := ResourcesOf(wanted.Template)
	if err != nil {
		return nil, err
	}
	if was.CPUs != next.CPUs {
		changes = append(changes, fmt.Sprintf("processors %d → %d", was.CPUs, next.CPUs))
	}
	if was.Memory != next.Memory {
		changes = append(changes, fmt.Sprintf("memory %s → %s", units.BytesSize(float64(was.Memory)), units.BytesSize(float64(next.Memory))))
	}
	if was.Disk != next.Disk {
		changes = append(changes, fmt.Sprintf("disk %s → %s", units.BytesSize(float64(was.Disk)), units.BytesSize(float64(next.Disk))))
	}
	for _, name := range paramsChanged(launched, wanted) {
		changes = append(changes, "param "+name) // its value may be a secret
	}
	var before, after map[string]any
	for _, t := range []struct {
		text string
		into *map[string]any
	}{{launched.Template, &before}, {wanted.Template, &after}} {
		if err := templatetext.Unmarshal([]byte(t.text), t.into); err != nil {
			return nil, err
		}
	}
	for _, key := range keysChanged(before, after) {
		changes = append(changes, key+" in the template")
	}
	return changes, nil
}

func paramsChanged(launched, wanted event.Job) []string {
	was, err := paramValues(launched)
	if err != nil {
		return nil
	}
	next, err := paramValues(wanted)
	if err != nil {
		return nil
	}
	var names []string
	for name := range was {
		if value, ok := next[name]; !ok || value != was[name] {
			names = append(names, name)
		}
	}
	for name := range next {
		if _, ok := was[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// paramValues are the params of a template with the values that they are given.
func paramValues(job event.Job) (map[string]string, error) {
	defaults, err := ParamDefaults(job.Template)
	if err != nil {
		return nil, err
	}
	values := map[string]string{}
	maps.Copy(values, defaults)
	maps.Copy(values, job.Params)
	return values, nil
}

// keysChanged lists the other settings at the top of a template that differ.
func keysChanged(before, after map[string]any) []string {
	var keys []string
	for _, m := range []map[string]any{before, after} {
		for key := range m {
			if !slices.Contains([]string{"cpus", "memory", "disk", "param"}, key) && !reflect.DeepEqual(before[key], after[key]) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

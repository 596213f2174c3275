package template

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"rancherdesktop.io/rdd/internal/machine/event"
	"rancherdesktop.io/rdd/internal/templatetext"
)

// Changes describes what differs between the job that a guest was started with and that of its next start.
func Changes(launched, next event.Job) (changes []string, err error) {
	was, err := ResourcesOf(launched.Template)
	if err != nil {
		return nil, err
	}
	now, err := ResourcesOf(next.Template)
	if err != nil {
		return nil, err
	}
	add := func(name, before, after string) {
		if before != after {
			changes = append(changes, fmt.Sprintf("%s %s → %s", name, before, after))
		}
	}
	add("processors", fmt.Sprint(was.CPUs), fmt.Sprint(now.CPUs))
	add("memory", templatetext.SizeText(was.Memory), templatetext.SizeText(now.Memory))
	add("disk", templatetext.SizeText(was.Disk), templatetext.SizeText(now.Disk))
	add("data disk", templatetext.SizeText(launched.DataDisk), templatetext.SizeText(next.DataDisk))
	before, errBefore := Params(launched.Template, launched.Params)
	after, errAfter := Params(next.Template, next.Params)
	if errBefore == nil && errAfter == nil {
		for _, name := range differing(values(before), values(after)) {
			changes = append(changes, "param "+name) // without its value, which may be a secret
		}
	}
	oldSettings, err := otherSettings(launched.Template)
	if err != nil {
		return nil, err
	}
	newSettings, err := otherSettings(next.Template)
	if err != nil {
		return nil, err
	}
	for _, key := range differing(oldSettings, newSettings) {
		changes = append(changes, key+" in the template")
	}
	return changes, nil
}

func values(params []Param) map[string]string {
	all := map[string]string{}
	for _, p := range params {
		all[p.Name] = p.Value
	}
	return all
}

// otherSettings reads the top-level settings of a template other than resources and params.
func otherSettings(text string) (settings map[string]any, err error) {
	err = templatetext.Unmarshal([]byte(text), &settings)
	maps.DeleteFunc(settings, func(key string, value any) bool {
		return value == nil || slices.Contains([]string{"cpus", "memory", "disk", "param"}, key)
	})
	return settings, err
}

// differing lists the keys whose values differ, or that only one of the maps has.
func differing[V any](before, after map[string]V) []string {
	var keys []string
	for _, m := range []map[string]V{before, after} {
		for key := range m {
			old, had := before[key]
			value, has := after[key]
			if had != has || !reflect.DeepEqual(old, value) {
				keys = append(keys, key)
			}
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

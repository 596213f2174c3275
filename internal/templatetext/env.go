package templatetext

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// EnvOf reads the environment that a template gives its guest.
func EnvOf(text string) (map[string]string, error) {
	var t struct {
		Env map[string]string `yaml:"env"`
	}
	if err := Unmarshal([]byte(text), &t); err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	return t.Env, nil
}

// WithEnv returns the template with a variable of its guest's environment, or without it if value is empty, and changes nothing
// else. The template's own environment must be on one line.
func WithEnv(text, name, value string) (string, error) {
	was, err := EnvOf(text)
	if err != nil || was[name] == value {
		return text, err
	}
	env := map[string]string{}
	maps.Copy(env, was)
	if env[name] = value; value == "" {
		delete(env, name)
	}
	items := make([]string, 0, len(env))
	for _, name := range slices.Sorted(maps.Keys(env)) {
		items = append(items, quoted(name)+": "+quoted(env[name]))
	}
	edited, err := withScalar(text, "env", "{"+strings.Join(items, ", ")+"}")
	if err != nil {
		return "", err
	}
	// withScalar doesn't understand all of YAML, so this checks its result.
	if now, err := EnvOf(edited); err != nil || !maps.Equal(now, env) {
		return "", errors.Join(errors.New("the environment in this template is written in a way that can't be changed here: edit its text"), err)
	}
	return edited, nil
}

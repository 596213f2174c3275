package templatetext

import "testing"

func TestEnvironmentIsChangedInPlace(t *testing.T) {
	for _, tc := range []struct{ template, value, want string }{
		{"cpus: 2\n", "b", "cpus: 2\nenv: {\"A\": \"b\"}\n"},
		{"env: {\"A\": \"b\"}  # mine\ncpus: 2\n", "", "env: {}  # mine\ncpus: 2\n"},
		{"env: {Z: y}\n", "b #1", "env: {\"A\": \"b \\u00231\", \"Z\": \"y\"}\n"},
		{"cpus: 2\n", "", "cpus: 2\n"},
		{"env: {A: b}\n", "b", "env: {A: b}\n"},
	} {
		got, err := WithEnv(tc.template, "A", tc.value)
		if err != nil || got != tc.want {
			t.Errorf("%q with A=%s became %q, %v", tc.template, tc.value, got, err)
		}
		if env, err := EnvOf(got); err != nil || env["A"] != tc.value {
			t.Errorf("%q: %v, %v", got, env, err)
		}
	}
	if text, err := WithEnv("env:\n  Z: y\n", "A", "b"); err == nil {
		t.Errorf("an environment on several lines became %q", text)
	}
}

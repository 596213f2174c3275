package main

import "testing"

func TestAcceleration(t *testing.T) {
	for vm, want := range map[string]string{
		`{"status":{"conditions":[{"type":"Running","status":"True","reason":"Started"},{"type":"Accelerated","status":"False","reason":"HardwareHangs"}]}}`: "emulation (HardwareHangs)",
		`{"status":{"conditions":[{"type":"Accelerated","status":"True","reason":"KVM"}]}}`:                                                                  "hardware (KVM)",
	} {
		if got, err := acceleration([]byte(vm)); got != want || err != nil {
			t.Errorf("acceleration of %s = %q, %v; want %q", vm, got, err, want)
		}
	}
	for _, vm := range []string{`{"status":{}}`, `nonsense`} {
		if how, err := acceleration([]byte(vm)); err == nil {
			t.Errorf("acceleration of %s = %q, want an error", vm, how)
		}
	}
}

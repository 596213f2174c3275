package main

import (
	"os"
	"testing"
)

func TestUsageOfThisProcess(t *testing.T) {
	m, err := readMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if m.RSS < 1<<20 || m.Anonymous < 1<<16 || m.Anonymous > m.RSS {
		t.Errorf("memory = %+v, which is impossible", m)
	}
	before, err := readActivity(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for after := before; after.CPU == before.CPU; {
		if after, err = readActivity(os.Getpid()); err != nil {
			t.Fatal(err)
		}
		if after.CPU < before.CPU || after.Wakeups < before.Wakeups {
			t.Fatalf("activity went back from %+v to %+v", before, after)
		}
	}
	if before.Wakeups == 0 {
		t.Error("no thread of this process was ever woken")
	}
	if _, err := readActivity(-5); err == nil {
		t.Error("a process that doesn't exist has a CPU time")
	}
}

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
		t.Errorf("memory = %+v, which can't be", m)
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
	if _, err := readActivity(-5); err == nil {
		t.Error("a process that can't be has a CPU time")
	}
}

func TestField(t *testing.T) {
	status := []byte("Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t99\n")
	if n, err := field(status, "voluntary_ctxt_switches:"); n != 12 || err != nil {
		t.Errorf("voluntary switches = %d, %v; want 12", n, err)
	}
	if _, err := field(status, "ctxt_switches:"); err == nil {
		t.Error("a field was found by a part of its name")
	}
}

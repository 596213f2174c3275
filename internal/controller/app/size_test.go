package app

import (
	"slices"
	"strings"
	"testing"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"

	"rancherdesktop.io/rdd/internal/api/app/v1alpha1"
)

const gib = 1 << 30

func equal(a, b any) bool { return apiequality.Semantic.DeepEqual(a, b) }

func TestDefaultsFollowTheHost(t *testing.T) {
	for _, tc := range []struct {
		computer Computer
		cpus     int32
		memory   string
	}{
		{Computer{CPUs: 8, Memory: 32 * gib}, 4, "8Gi"},
		{Computer{CPUs: 16, Memory: 32*gib - 700*mib}, 8, "7936Mi"},
		{Computer{CPUs: 4, Memory: 6 * gib}, 2, "2Gi"},
		{Computer{CPUs: 2, Memory: 3 * gib}, 2, "1536Mi"},
		{Computer{CPUs: 1, Memory: gib}, 1, "512Mi"},
		{Computer{CPUs: 3, Memory: 8 * gib}, 2, "2Gi"},
		{Computer{}, 2, "2Gi"},
	} {
		size := sizeOf(v1alpha1.VirtualMachine{}, tc.computer)
		if size.CPUs != tc.cpus || size.Memory.String() != tc.memory || size.Disk.String() != "100Gi" {
			t.Errorf("%+v: %d processors, %s of memory, %s of disk", tc.computer, size.CPUs, size.Memory, size.Disk)
		}
	}
}

func TestMountsAreAbsoluteAndOuterFoldersComeFirst(t *testing.T) {
	spec := v1alpha1.VirtualMachine{Mounts: []v1alpha1.Mount{{Path: "~/src/", Writable: true}, {Path: "/srv/a/b"}, {Path: "/srv/a"}, {Path: "~"}}}
	want := []v1alpha1.Mount{{Path: "/home/me"}, {Path: "/home/me/src", Writable: true}, {Path: "/srv/a"}, {Path: "/srv/a/b"}}
	size := sizeOf(spec, computer)
	if !slices.Equal(size.Mounts, want) {
		t.Errorf("%+v", size.Mounts)
	}
	if got := sizeOf(v1alpha1.VirtualMachine{}, computer).Mounts; !slices.Equal(got, []v1alpha1.Mount{{Path: "/home/me", Writable: true}}) {
		t.Errorf("default: %+v", got)
	}
	if got := sizeOf(v1alpha1.VirtualMachine{Mounts: []v1alpha1.Mount{}}, computer).Mounts; len(got) != 0 {
		t.Errorf("none: %+v", got)
	}
}

func TestATemplateWithASizeStaysAsItIs(t *testing.T) {
	q := resource.MustParse("3G") // no whole number of MiB
	size := sizeOf(v1alpha1.VirtualMachine{CPUs: 3, Memory: &q}, computer)
	once, err := withSize(guest, size, v1alpha1.Moby)
	if err != nil || !strings.HasPrefix(once, "# RDD's guest\ncpus: 3\nmemory: 2861MiB\ndisk: 20GiB\n") {
		t.Fatalf("%v %q", err, once)
	}
	if twice, err := withSize(once, size, v1alpha1.Moby); err != nil || twice != once {
		t.Errorf("%v %q", err, twice)
	}
}

// What is kept is told apart by everything that changes the result.
func TestEditedTemplatesAreKeptApart(t *testing.T) {
	e := &edited{}
	base := sizeOf(v1alpha1.VirtualMachine{}, computer)
	cpus, memory, mounts := *base.DeepCopy(), *base.DeepCopy(), *base.DeepCopy()
	q := resource.MustParse("3Gi")
	cpus.CPUs, memory.Memory, mounts.Mounts[0].Writable = 3, &q, false
	for range 2 {
		for i, size := range []v1alpha1.VirtualMachine{base, cpus, memory, mounts} {
			for j, template := range []string{guest, "cpus: 9\n", "- no map\n", "a: 1\n"} {
				want, wantErr := withSize(template, size, v1alpha1.Moby)
				if got, err := e.withSize(template, size, v1alpha1.Moby); got != want || (err == nil) != (wantErr == nil) || len(e.known) > maxEdited {
					t.Errorf("%d %d: %q, %v; %d kept", i, j, got, err, len(e.known))
				}
			}
		}
	}
}

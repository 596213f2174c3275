package v1alpha1

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSummaryReadsLikeDockerPs(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	before := func(d time.Duration) *metav1.Time { return &metav1.Time{Time: now.Add(-d)} }
	code := func(c int32) *int32 { return &c }
	for want, status := range map[string]ContainerStatus{
		"Up 2 hours":                            {State: ContainerRunning, StartedAt: before(2 * time.Hour)},
		"Up About an hour (healthy)":            {State: ContainerRunning, StartedAt: before(time.Hour), Health: "healthy"},
		"Up 5 seconds (health: starting)":       {State: ContainerRunning, StartedAt: before(5 * time.Second), Health: "starting"},
		"Up 3 minutes (Paused)":                 {State: ContainerPaused, StartedAt: before(3 * time.Minute)},
		"Restarting (1) Less than a second ago": {State: ContainerRestarting, ExitCode: code(1), FinishedAt: before(-time.Second)},
		"Exited (137) 3 days ago":               {State: ContainerExited, ExitCode: code(137), FinishedAt: before(73 * time.Hour)},
		"Exited (0) 3 weeks ago":                {State: ContainerExited, ExitCode: code(0), FinishedAt: before(22 * 24 * time.Hour)},
		"Created":                               {State: ContainerCreated},
		"Removal In Progress":                   {State: ContainerRemoving},
		"Dead":                                  {State: ContainerDead},
	} {
		if got := status.Summary(now); got != want {
			t.Errorf("Summary is %q, want %q", got, want)
		}
	}
}

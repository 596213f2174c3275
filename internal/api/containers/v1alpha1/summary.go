package v1alpha1

import (
	"fmt"
	"time"
)

// Summary is the state as `docker ps` says it at the time now, for example "Up 2 hours (healthy)". It is no field,
// because it changes with time alone.
func (s *ContainerStatus) Summary(now time.Time) string {
	code := int32(0)
	if s.ExitCode != nil {
		code = *s.ExitCode
	}
	var up, ago string
	if s.StartedAt != nil {
		up = " " + Age(now.Sub(s.StartedAt.Time))
	}
	if s.FinishedAt != nil {
		ago = " " + Age(now.Sub(s.FinishedAt.Time)) + " ago"
	}
	switch s.State {
	case ContainerRunning:
		switch s.Health {
		case "":
			return "Up" + up
		case "starting":
			return "Up" + up + " (health: starting)"
		}
		return "Up" + up + " (" + s.Health + ")"
	case ContainerPaused:
		return "Up" + up + " (Paused)"
	case ContainerRestarting:
		return fmt.Sprintf("Restarting (%d)%s", code, ago)
	case ContainerExited:
		return fmt.Sprintf("Exited (%d)%s", code, ago)
	case ContainerRemoving:
		return "Removal In Progress"
	case ContainerDead:
		return "Dead"
	case ContainerCreated:
		return "Created"
	}
	return string(s.State)
}

// Age is a duration in docker's words, for example "About an hour".
func Age(d time.Duration) string {
	seconds, minutes, hours := int(d.Seconds()), int(d.Minutes()), int(d.Hours()+0.5)
	switch {
	case seconds < 1:
		return "Less than a second"
	case seconds == 1:
		return "1 second"
	case seconds < 60:
		return fmt.Sprintf("%d seconds", seconds)
	case minutes == 1:
		return "About a minute"
	case minutes < 60:
		return fmt.Sprintf("%d minutes", minutes)
	case hours == 1:
		return "About an hour"
	case hours < 48:
		return fmt.Sprintf("%d hours", hours)
	case hours < 24*7*2:
		return fmt.Sprintf("%d days", hours/24)
	case hours < 24*30*2:
		return fmt.Sprintf("%d weeks", hours/24/7)
	case hours < 24*365*2:
		return fmt.Sprintf("%d months", hours/24/30)
	}
	return fmt.Sprintf("%d years", int(d.Hours())/24/365)
}

package mirror

import "time"

// Timing is how long a Follower and its sessions wait.
type Timing struct {
	Grace      time.Duration // how long the view stays as it is while a lost engine is asked again: a restart of dockerd
	FirstPause time.Duration // between two attempts to connect; doubled up to MaxPause
	MaxPause   time.Duration
	Short      time.Duration // a session that ended sooner is followed by a pause, too
	Patience   time.Duration // until the guest is asked why the engine doesn't answer, and between two such questions
	Connect    time.Duration // bounds an attempt: dial, clock, stream, lists
	Resync     time.Duration // the longest time for which an event that the engine did not send matters
	Paused     time.Duration // after which a container is read once more of which the engine says that it pauses: it says so before
	List       time.Duration // joins events that make one list: a pull or a build has many
	Burst      time.Duration // after many events, for which the engine drops some, until all containers are listed
	Read       time.Duration // bounds the wait for one container, whose lock somebody may hold for long
	FirstRetry time.Duration // after a failed read; doubled up to MaxRetry
	MaxRetry   time.Duration
}

// Usual is the timing of the service; tests have less patience.
func Usual() Timing {
	return Timing{
		Grace: 10 * time.Second, FirstPause: 200 * time.Millisecond, MaxPause: 3 * time.Second, Short: 2 * time.Second,
		Patience: 15 * time.Second, Connect: time.Minute, Resync: time.Minute, Paused: 200 * time.Millisecond, List: 200 * time.Millisecond,
		Burst: 400 * time.Millisecond, Read: 5 * time.Second, FirstRetry: time.Second, MaxRetry: 30 * time.Second,
	}
}

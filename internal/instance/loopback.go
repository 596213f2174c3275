package instance

import "runtime"

// Loopback is the address that RDD's own servers on this computer listen on. A guest of QEMU's user network
// that speaks to its gateway is connected to the host's 127.0.0.1, so it is another one, where all of
// 127.0.0.0/8 is loopback. (On macOS only 127.0.0.1 is.)
func Loopback() string {
	if runtime.GOOS == "darwin" {
		return "127.0.0.1"
	}
	return "127.82.68.68"
}

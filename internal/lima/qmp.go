package lima

import (
	"encoding/json"
	"fmt"
	"net"
	"time"
)

// qmpLimit bounds one exchange with QEMU.
const qmpLimit = 5 * time.Second

// qmp sends one command that has no arguments to a QEMU. Protocol: QEMU Machine Protocol
// Specification; QEMU greets, capabilities are negotiated, then commands are taken.
func qmp(socket, command string) error {
	c, err := net.DialTimeout("unix", socket, qmpLimit)
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(qmpLimit)); err != nil {
		return err
	}
	in, out := json.NewDecoder(c), json.NewEncoder(c)
	var greeting struct{ QMP any }
	if err := in.Decode(&greeting); err != nil {
		return fmt.Errorf("QEMU's greeting: %w", err)
	}
	for _, execute := range []string{"qmp_capabilities", command} {
		if err := out.Encode(map[string]string{"execute": execute}); err != nil {
			return err
		}
		if err := qmpAnswer(in); err != nil {
			return fmt.Errorf("QEMU command %s: %w", execute, err)
		}
	}
	return nil
}

// qmpAnswer reads up to the answer to a command; events may come before it.
func qmpAnswer(in *json.Decoder) error {
	for {
		var answer struct {
			Return *json.RawMessage
			Error  *struct{ Desc string }
		}
		if err := in.Decode(&answer); err != nil {
			return err
		}
		switch {
		case answer.Error != nil:
			return fmt.Errorf("%s", answer.Error.Desc)
		case answer.Return != nil:
			return nil
		}
	}
}

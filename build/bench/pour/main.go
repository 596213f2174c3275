// Command pour sends zeros to whoever connects, in a guest: pour PORT BYTES.
package main

import (
	"fmt"
	"net"
	"os"
	"strconv"
)

func main() {
	fmt.Fprintln(os.Stderr, "pour:", pour(os.Args[1:]))
	os.Exit(1)
}

// pour serves until something fails.
func pour(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: pour PORT BYTES; got %q", args)
	}
	size, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort("0.0.0.0", args[0]))
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			chunk := make([]byte, 64<<10)
			for sent := 0; sent < size; {
				n, err := conn.Write(chunk[:min(len(chunk), size-sent)])
				if err != nil {
					return
				}
				sent += n
			}
		}()
	}
}

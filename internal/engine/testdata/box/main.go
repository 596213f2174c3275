// Command box is the only program in the containers of the tests: what it does is its first argument.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	if len(os.Args) < 2 {
		return
	}
	switch os.Args[1] {
	case "wait": // until it is told to stop
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		<-stop
	case "log": // three lines on each output
		for i := 1; i <= 3; i++ {
			fmt.Println("out", i)
			fmt.Fprintln(os.Stderr, "err", i)
		}
	case "talk": // says again what it hears, and ends with the code 7
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			fmt.Println("heard " + strings.TrimSpace(in.Text()))
		}
		fmt.Println("bye")
		os.Exit(7)
	case "size": // of its terminal, once it is 100 wide
		for {
			var size struct{ rows, columns, x, y uint16 }
			syscall.Syscall(syscall.SYS_IOCTL, 0, syscall.TIOCGWINSZ, uintptr(unsafe.Pointer(&size)))
			if size.columns == 100 {
				fmt.Printf("%d by %d\n", size.columns, size.rows)
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
	case "write": // a file, with content
		_ = os.MkdirAll(os.Args[2][:strings.LastIndex(os.Args[2], "/")], 0o755)
		_ = os.WriteFile(os.Args[2], []byte(os.Args[3]), 0o640)
	case "echo": // sends back what comes to port 7, over TCP and UDP
		go func() {
			c, err := net.ListenPacket("udp", ":7")
			for b := make([]byte, 1500); err == nil; {
				var n int
				var from net.Addr
				if n, from, err = c.ReadFrom(b); err == nil {
					_, err = c.WriteTo(b[:n], from)
				}
			}
			fmt.Fprintln(os.Stderr, err)
		}()
		l, err := net.Listen("tcp", ":7")
		for err == nil {
			var c net.Conn
			if c, err = l.Accept(); err == nil {
				go func() {
					_, _ = io.Copy(c, c)
					_ = c.Close()
				}()
			}
		}
		fmt.Fprintln(os.Stderr, err)
	case "link":
		_ = os.Symlink(os.Args[3], os.Args[2])
	}
}

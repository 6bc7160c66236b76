// Gonet uses the network as programs do: as a server and as a client.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
)

func main() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println("listen:", err)
		return
	}
	served := make(chan error)
	go func() {
		c, err := l.Accept()
		if err == nil {
			_, err = io.Copy(c, c)
			err = errors.Join(err, c.Close())
		}
		served <- err
	}()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		fmt.Println("dial:", err)
		return
	}
	_, err = io.WriteString(c, "hello")
	fmt.Println("said:", err, c.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(c)
	fmt.Printf("to itself: %s %v %v %v\n", answer, err, <-served, l.Close())

	_, err = net.Dial("tcp", "192.0.2.1:80")
	fmt.Println("to others:", err)
	_, err = net.LookupHost("www.example")
	fmt.Println("names:", err != nil)
	_, _, err = syscall.Accept(3)
	fmt.Println("the system's:", err)
}

package main

import (
	"fmt"
	"net"
	"strings"
)

// notifier talks to the service manager by the protocol of sd_notify(3). The
// zero notifier talks to nobody.
type notifier struct{ socket string }

// newNotifier takes the value of $NOTIFY_SOCKET: a path, or "@" and the name
// of an abstract socket.
func newNotifier(socket string) notifier { return notifier{socket} }

// send tells one or more assignments like READY=1.
func (n notifier) send(state ...string) error {
	if n.socket == "" {
		return nil
	}
	// A leading "@" is the abstract name space to package net as well.
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(strings.Join(state, "\n") + "\n")); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}

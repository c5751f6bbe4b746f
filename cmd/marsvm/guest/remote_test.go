// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

// Between guests there is no ssh; this is the stand-in: a command with its
// input goes over, its output and exit code come back. The wire is the two
// guests' own.
type remoteCommand struct {
	Args  []string
	Input []byte
}

type remoteAnswer struct {
	Out, Err []byte
	Code     int
}

const (
	remotePort = "2222"
	remoteTime = 5 * time.Minute
)

// remoteServer serves commands until the test ends.
func remoteServer(t *testing.T, ip string) {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, remotePort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if err := remoteServe(c); err != nil {
				fmt.Fprintln(os.Stderr, "remote command:", err)
			}
		}
	}()
}

// remoteServe runs one command.
func remoteServe(c net.Conn) error {
	defer c.Close()
	var r remoteCommand
	if err := c.SetDeadline(time.Now().Add(remoteTime)); err != nil {
		return err
	}
	switch err := gob.NewDecoder(c).Decode(&r); {
	case errors.Is(err, io.EOF): // a look whether anybody is there
		return nil
	case err != nil:
		return err
	}
	if len(r.Args) == 0 {
		return errors.New("no command")
	}
	cmd := exec.Command(r.Args[0], r.Args[1:]...)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	go func() {
		_, err := in.Write(r.Input)
		if err = errors.Join(err, in.Close()); err != nil {
			fmt.Fprintln(os.Stderr, "input of a remote command:", err)
		}
	}()
	var a remoteAnswer
	a.Out, err = cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		a.Err, err = exit.Stderr, nil
	}
	if err != nil {
		a.Err = []byte(err.Error() + "\n")
	}
	a.Code = cmd.ProcessState.ExitCode()
	return gob.NewEncoder(c).Encode(a)
}

// remoteRun is the program "ssh HOST COMMAND ARG...": HOST is an address here.
func remoteRun(args []string) int {
	input, err := io.ReadAll(os.Stdin)
	var a remoteAnswer
	if err == nil {
		a, err = remoteAsk(args, input)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 255
	}
	os.Stdout.Write(a.Out)
	os.Stderr.Write(a.Err)
	return a.Code
}

func remoteAsk(args []string, input []byte) (a remoteAnswer, err error) {
	if len(args) < 2 {
		return a, errors.New("want HOST COMMAND ARG...")
	}
	c, err := net.DialTimeout("tcp", net.JoinHostPort(args[0], remotePort), remoteTime)
	if err != nil {
		return a, err
	}
	defer c.Close()
	err = errors.Join(c.SetDeadline(time.Now().Add(remoteTime)), gob.NewEncoder(c).Encode(remoteCommand{args[1:], input}))
	if err == nil {
		err = gob.NewDecoder(c).Decode(&a)
	}
	return a, err
}

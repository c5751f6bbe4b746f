package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Exit codes of marsvm's own; see the package comment.
const (
	codeKernel  = 123
	codeTimeout = 124
	codeBroken  = 125
)

const usage = `usage:
  marsvm prepare [postgresql] [newest]  fetch what is missing (Debian, root)
  marsvm probe                          tell what is missing; exit 1 if anything
  marsvm run  [OPTIONS] BINARY ARGS...  run a program or #! script in the guest
  marsvm exec [OPTIONS] BINARY ARGS...  the same for go test -exec "marsvm exec --"
options of run and exec: marsvm run --help
`

// exitError ends marsvm with a code; the message is printed when there is one.
type exitError struct {
	code int
	text string
}

// Error returns the text for people.
func (e *exitError) Error() string { return e.text }

func main() {
	if filepath.Base(os.Args[0]) == "modprobe" {
		os.Exit(modprobeMain(os.Args[1:]))
	}
	if os.Getpid() == 1 {
		guestMain()
		return
	}
	err := command(os.Args[1:])
	if err == nil {
		return
	}
	code := codeBroken
	var e *exitError
	if errors.As(err, &e) {
		code = e.code
	}
	if err.Error() != "" {
		fmt.Fprintf(os.Stderr, "marsvm: %v\n", err)
	}
	os.Exit(code)
}

// command does what the arguments say.
func command(args []string) error {
	if len(args) == 0 {
		return errors.New("no command\n" + usage)
	}
	switch name, rest := args[0], args[1:]; name {
	case "prepare":
		return prepare(slices.Contains(rest, postgresDir), slices.Contains(rest, newestDir))
	case "probe":
		return probe()
	case "run", "exec":
		o, err := parseOptions(name, rest)
		if err != nil {
			return err
		}
		return run(o)
	case "help", "-h", "--help":
		fmt.Print(usage)
		return nil
	default:
		return fmt.Errorf("no command %q\n%s", name, usage)
	}
}

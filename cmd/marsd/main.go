package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"mars/infra/place"

	"github.com/urfave/cli/v2"
)

func main() {
	// A reader of our messages that goes away must not take us along.
	signal.Ignore(syscall.SIGPIPE)
	hostname, err := os.Hostname()
	if err != nil {
		hostname = "" // --host is asked for then
	}
	if err := newApp(os.Getenv, hostname, os.Stdout, os.Stderr).Run(os.Args); err != nil {
		fmt.Fprintln(os.Stderr, "marsd:", err)
		os.Exit(1)
	}
}

// newApp is the command line.
func newApp(getenv func(string) string, hostname string, stdout, stderr io.Writer) *cli.App {
	p := place.FromEnv(getenv, hostname)
	return &cli.App{
		Name:           "marsd",
		Usage:          "the daemon of mars: asynchronous replication of block devices",
		Version:        version(),
		Writer:         stdout,
		ErrWriter:      stderr,
		ExitErrHandler: func(*cli.Context, error) {}, // main does
		Commands: []*cli.Command{
			{
				Name: "run", Usage: "run in the foreground until SIGTERM",
				Flags: runFlags(p),
				Action: func(c *cli.Context) error {
					if err := noArgs(c); err != nil {
						return err
					}
					o, err := runOptions(c, p, getenv)
					if err != nil {
						return err
					}
					signals := make(chan os.Signal, 2)
					signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
					defer signal.Stop(signals)
					return run(o, stderr, newNotifier(getenv("NOTIFY_SOCKET")), signals)
				},
			},
			{
				Name: "cleanup", Usage: "remove the devices of a daemon that will not come back",
				Description: "Devices outlive the daemon that served them, so that the next one can take them over. Where none will\n" +
					"come, this removes them. What is open is refused, and everything while a marsd is running.",
				Flags: append(treeFlags(p), append(dirFlags(p),
					&cli.BoolFlag{Name: "force", Usage: "also what is open: its users get IO errors"})...),
				Action: func(c *cli.Context) error {
					if err := noArgs(c); err != nil {
						return err
					}
					o, err := treeOptions(c, p)
					if err != nil {
						return err
					}
					o.RunDir, o.DevDir = c.String("run-dir"), c.String("dev-dir")
					if err := o.check(); err != nil {
						return err
					}
					return cleanUp(o, c.Bool("force"), stdout, newLogger(stderr, new(slog.LevelVar)))
				},
			},
			{
				Name: "recover", Usage: "replay the logs of this host onto disks, offline",
				Description: "For each resource the logs are replayed from the replay link to the end of what is sound, and the\n" +
					"links are brought up to date; a fork (split brain) stops it, which is a failure. No marsd may be\n" +
					"running on the directory. Nothing but the directory and the disks is needed.",
				Flags: append(treeFlags(p),
					&cli.StringSliceFlag{Name: "disk", Usage: "a resource and its disk or image, `RES=FILE`, repeatable"}),
				Action: func(c *cli.Context) error {
					if err := noArgs(c); err != nil {
						return err
					}
					o, err := treeOptions(c, p)
					if err != nil {
						return err
					}
					return recoverDisks(o.MarsDir, o.Host, c.StringSlice("disk"), stdout)
				},
			},
			manCommand(stdout),
		},
	}
}

func noArgs(c *cli.Context) error {
	if c.NArg() > 0 {
		return fmt.Errorf("%s takes no arguments, found %q", c.Command.Name, c.Args().First())
	}
	return nil
}

// version is what the build knows of itself.
func version() string {
	v := "(unknown)"
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	return v + " " + runtime.Version()
}

// newLogger writes text to w; the level can be changed later.
func newLogger(w io.Writer, level *slog.LevelVar) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

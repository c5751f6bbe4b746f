package main

import (
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"mars/infra/place"
	"mars/infra/symtree"

	"github.com/urfave/cli/v2"
)

// options is what the command line and the environment say.
type options struct {
	place.Place
	PortSet bool // the port was given; otherwise it is the tunable mars_port
	Level   slog.Level
	Grace   time.Duration // how long open devices may hold up a stop
	Metrics string        // address to serve metrics on, empty: none
	Pprof   bool          // profiles too
}

// runFlags are the flags of marsd run; the environment gives their defaults.
func runFlags(p place.Place) []cli.Flag {
	return append(append(treeFlags(p), dirFlags(p)...),
		&cli.StringFlag{Name: "pki-dir", Value: p.PKIDir, Usage: "the keys of this host [$MARS_PKI_DIR]"},
		&cli.StringFlag{Name: "ip", Value: p.IP, Usage: "own address to listen on; default: what /mars/ips says [$MARS_IP]"},
		&cli.IntFlag{Name: "port", Usage: "first of the three TCP ports; default: the tunable mars_port [$MARS_PORT]"},
		&cli.StringFlag{Name: "device", Value: p.Device, Usage: "how devices are made: auto, ublk or fuse [$MARS_DEVICE]"},
		&cli.StringSliceFlag{Name: "set", Usage: "a tunable at start, `NAME=VALUE`, repeatable; wins over sysctl.d [$MARS_SET]"},
		&cli.StringFlag{Name: "log-level", Value: "info", Usage: "debug, info, warn or error"},
		&cli.DurationFlag{Name: "stop-grace", Value: 10 * time.Second, Usage: "after SIGTERM, how long devices may stay open before they are taken away"},
		&cli.StringFlag{Name: "metrics", Usage: "serve Prometheus metrics on `[HOST]:PORT`; without HOST on 127.0.0.1 alone [$MARS_METRICS]"},
		&cli.BoolFlag{Name: "pprof", Usage: "serve Go profiles there as well"},
	)
}

// dirFlags are those that cleanup has as well.
func dirFlags(p place.Place) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "run-dir", Value: p.RunDir, Usage: "lock, pid and tunables [$MARS_RUN_DIR]"},
		&cli.StringFlag{Name: "dev-dir", Value: p.DevDir, Usage: "where devices appear [$MARS_DEV_DIR]"},
	}
}

// treeFlags are the flags that recover has as well.
func treeFlags(p place.Place) []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "mars-dir", Value: p.MarsDir, Usage: "the symlink tree and the logs [$MARS_DIR]"},
		&cli.StringFlag{Name: "host", Value: p.Host, Usage: "own name [$MARS_HOST]"},
	}
}

// runOptions reads the flags of marsd run over the places from the environment.
func runOptions(c *cli.Context, p place.Place, getenv func(string) string) (*options, error) {
	o, err := treeOptions(c, p)
	if err != nil {
		return nil, err
	}
	if err := o.Level.UnmarshalText([]byte(c.String("log-level"))); err != nil {
		return nil, fmt.Errorf("--log-level must be debug, info, warn or error, found %q", c.String("log-level"))
	}
	o.RunDir, o.DevDir, o.PKIDir = c.String("run-dir"), c.String("dev-dir"), c.String("pki-dir")
	o.IP, o.Device = c.String("ip"), c.String("device")
	o.Set = append(o.Set, c.StringSlice("set")...)
	o.Grace = c.Duration("stop-grace")
	if o.Grace < 0 {
		return nil, fmt.Errorf("--stop-grace must not be negative, found %v", o.Grace)
	}
	switch {
	case c.IsSet("port"):
		o.Port, o.PortSet = c.Int("port"), true
	case getenv("MARS_PORT") != "":
		if o.Port, err = strconv.Atoi(getenv("MARS_PORT")); err != nil {
			return nil, fmt.Errorf("MARS_PORT must be a number, found %q", getenv("MARS_PORT"))
		}
		o.PortSet = true
	}
	if err := o.metricOptions(c, getenv("MARS_METRICS")); err != nil {
		return nil, err
	}
	return o, o.check()
}

func (o *options) metricOptions(c *cli.Context, addr string) (err error) {
	if c.IsSet("metrics") {
		addr = c.String("metrics")
	}
	o.Pprof = c.Bool("pprof")
	if addr == "" {
		if o.Pprof {
			return fmt.Errorf("--pprof needs --metrics: profiles are served on the same address")
		}
		return nil
	}
	o.Metrics, err = metricsAddr(addr)
	return err
}

func treeOptions(c *cli.Context, p place.Place) (*options, error) {
	o := &options{Place: p}
	o.MarsDir, o.Host = c.String("mars-dir"), c.String("host")
	if err := symtree.CheckHost(o.Host); err != nil {
		return nil, fmt.Errorf("--host: %w", err)
	}
	return o, nil
}

func (o *options) check() error {
	return o.Place.Check()
}

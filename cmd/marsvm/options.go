package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// minTimeout leaves room for a boot and for the SIGQUIT before the end.
const minTimeout = 2 * time.Second

// options are the arguments of run and exec.
type options struct {
	mem       string
	cpus      int
	timeout   time.Duration
	disks     []string   // files, or sizes of throw-away disks
	logged    []transfer // raw image and the log of all that is written to it
	nets      []transfer // sockets of a wire: the own end and the other
	files     []transfer
	fetch     []transfer
	modules   []module
	tools     []string
	env       []string
	qemuArgs  []string
	icount    bool
	syncDisks bool
	console   bool
	warnings  bool
	verbose   bool
	gotest    bool // exec: keep the working directory and its testdata
	args      []string
}

// transfer is a file to copy; paths inside the guest are absolute.
type transfer struct{ src, dst string }

// module is a kernel module to load at start, with its parameters.
type module struct {
	Name   string
	Params string
}

// list is a flag that may be given several times.
type list struct {
	add func(string) error
}

func (l list) String() string         { return "" }
func (l list) Set(value string) error { return l.add(value) }

var sizePattern = regexp.MustCompile(`^[1-9][0-9]*[KMG]$`)

// flags returns the flag set that fills o.
func (o *options) flags(name string) *flag.FlagSet {
	f := flag.NewFlagSet("marsvm "+name, flag.ContinueOnError)
	f.StringVar(&o.mem, "mem", "768M", "memory of the guest, `SIZE` with K, M or G")
	f.IntVar(&o.cpus, "cpus", 2, "processors of the guest")
	f.DurationVar(&o.timeout, "timeout", 120*time.Second, "end everything after this long, boot included; MARS_VM_TIMEOUT sets the default")
	f.BoolVar(&o.icount, "icount", false, "one CPU whose time is the count of instructions: figures repeat")
	f.BoolVar(&o.syncDisks, "sync-disks", false, "let the guest's flushes reach the host's disk; otherwise they are good enough for a guest that is killed")
	f.BoolVar(&o.console, "console", false, "print the kernel's messages")
	f.BoolVar(&o.warnings, "allow-warnings", false, "let kernel warnings and hung tasks pass")
	f.BoolVar(&o.verbose, "v", false, "tell how long things took")
	each := func(name, usage string, add func(string) error) { f.Var(list{add}, name, usage) }
	each("disk", "attach raw image `FILE` as /dev/vda, vdb...; a size (64M) makes a throw-away disk", func(v string) error {
		o.disks = append(o.disks, v)
		return nil
	})
	each("logged-disk", "attach raw image `FILE:LOG` behind the --disk ones; every write and flush is noted in LOG (dm-log-writes format)", func(v string) error {
		t, err := parseTransfer(v)
		o.logged = append(o.logged, t)
		return err
	})
	each("net", "a wire to another guest, eth0, eth1...: UNIX sockets `OWN:OTHER`", func(v string) error {
		t, err := parseTransfer(v)
		o.nets = append(o.nets, t)
		return err
	})
	each("file", "copy `SRC:DST` (file or directory) into the guest", func(v string) error {
		t, err := parseTransfer(v)
		o.files = append(o.files, t)
		return err
	})
	each("fetch", "copy guest file `SRC:DST` out at the end, if it is there", func(v string) error {
		t, err := parseTransfer(v)
		o.fetch = append(o.fetch, t)
		return err
	})
	each("module", "load a module at start: `NAME[:PARAM=VALUE]...`", func(v string) error {
		m, err := parseModule(v)
		o.modules = append(o.modules, m)
		return err
	})
	each("tool", "copy host program `NAME` and its libraries into the guest; names may be joined by commas", func(v string) error {
		o.tools = append(o.tools, strings.Split(v, ",")...)
		return nil
	})
	each("env", "pass `NAME[=VALUE]` on; MARS_* and GO* (debugging) pass anyway", func(v string) error {
		if !strings.Contains(v, "=") {
			v += "=" + os.Getenv(v)
		}
		o.env = append(o.env, v)
		return nil
	})
	each("qemu-arg", "pass one `ARG` to QEMU", func(v string) error {
		o.qemuArgs = append(o.qemuArgs, v)
		return nil
	})
	return f
}

// parseOptions reads the arguments behind "run" or "exec".
func parseOptions(name string, args []string) (*options, error) {
	o := &options{gotest: name == "exec"}
	f := o.flags(name)
	if text := os.Getenv("MARS_VM_TIMEOUT"); text != "" {
		if err := f.Set("timeout", text); err != nil {
			return nil, fmt.Errorf("MARS_VM_TIMEOUT: %w", err)
		}
	}
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil, &exitError{}
		}
		return nil, &exitError{code: codeBroken} // Parse has told why
	}
	o.args = f.Args()
	switch {
	case len(o.args) == 0:
		return nil, errors.New("no program to run")
	case o.cpus < 1 || o.cpus > 16:
		return nil, fmt.Errorf("--cpus %d is not in 1..16", o.cpus)
	case o.timeout < minTimeout:
		return nil, fmt.Errorf("--timeout %v is below %v", o.timeout, minTimeout)
	case !sizePattern.MatchString(o.mem):
		return nil, fmt.Errorf("--mem %q is not a size like 512M", o.mem)
	}
	if o.icount {
		o.cpus = 1
	}
	if o.gotest {
		o.args, o.fetch = testArgs(o.args, o.fetch)
	}
	return o, nil
}

// parseTransfer splits SRC:DST.
func parseTransfer(text string) (transfer, error) {
	src, dst, ok := strings.Cut(text, ":")
	if !ok || src == "" || dst == "" {
		return transfer{}, fmt.Errorf("%q is not SRC:DST", text)
	}
	return transfer{src: src, dst: dst}, nil
}

// parseModule splits NAME:PARAM=VALUE:PARAM=VALUE.
func parseModule(text string) (module, error) {
	name, params, _ := strings.Cut(text, ":")
	if name == "" {
		return module{}, fmt.Errorf("%q has no module name", text)
	}
	return module{Name: name, Params: strings.ReplaceAll(params, ":", " ")}, nil
}

// testArgs adapts the arguments of a test binary: the log of opened files is
// of no use to the go command, since those files are the guest's, and a
// coverage profile has to come back.
func testArgs(args []string, fetch []transfer) ([]string, []transfer) {
	var kept []string
	for i, a := range args {
		flag, value, _ := strings.Cut(strings.TrimPrefix(a, "-"), "=")
		if i > 0 && flag == "-test.testlogfile" || flag == "test.testlogfile" {
			continue
		}
		if strings.TrimPrefix(flag, "-") == "test.coverprofile" && value != "" {
			if abs, err := filepath.Abs(value); err == nil {
				fetch = append(fetch, transfer{src: abs, dst: abs})
			}
		}
		kept = append(kept, a)
	}
	return kept, fetch
}

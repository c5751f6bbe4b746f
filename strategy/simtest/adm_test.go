package simtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/place"
	"mars/marsadm"
)

// admSys is marsadm.Sys for a command that runs as a process on a simulated
// host.
type admSys struct {
	h        *Host
	co       *simenv.Coroutine
	place    place.Place
	in       []byte
	out, err bytes.Buffer
}

var _ marsadm.Sys = (*admSys)(nil)

func (s *admSys) Place() *place.Place         { return &s.place }
func (s *admSys) FS() (env.FS, error)         { return s.co.FS(), nil }
func (s *admSys) Wall() int64                 { return s.co.Wall() }
func (s *admSys) Mono() time.Duration         { return s.co.Mono() }
func (s *admSys) Worked() time.Duration       { return 0 } // nothing takes time in there
func (s *admSys) Sleep(d time.Duration) error { return s.co.Sleep(d) }
func (s *admSys) Random() io.Reader           { return bytes.NewReader(uuidBytes()) }
func (s *admSys) PID() int                    { return int(s.co.Rand() % 30000) }
func (s *admSys) UID() int                    { return 0 }
func (s *admSys) Stdin() io.Reader            { return bytes.NewReader(s.in) }
func (s *admSys) Stdout() io.Writer           { return &s.out }
func (s *admSys) Stderr() io.Writer           { return &s.err }
func (s *admSys) Loaded() bool                { return s.h.Up() && s.h.Daemon != nil && s.h.life%2 == 1 }
func (s *admSys) Mounted() bool               { return true }
func (s *admSys) Device(name string) bool     { return s.h.Device(name) != nil }
func (s *admSys) Address() (string, error)    { return s.h.Addr(), nil }
func (s *admSys) Keys() marsadm.Keys          { return noKeys{} }

func (s *admSys) Templates() (map[string]string, error) { return nil, nil }
func (s *admSys) ErrnoText(n int) string                { return "" }

func (s *admSys) Trigger(n int) {
	if s.Loaded() {
		st := s.h.Daemon
		s.h.Env(0).Post(func() { st.Trigger(n) })
	}
}

func (s *admSys) Disk(path string) (int64, error) {
	d := s.h.Disk(path)
	switch {
	case d == nil:
		return 0, env.ErrNotExist
	case d.Held():
		return 0, env.ErrInUse
	}
	return d.Size(), nil
}

// SSH runs the command on another host of the cluster.
func (s *admSys) SSH(host string, stdin []byte, _ int, command ...string) ([]byte, error) {
	for _, h := range s.h.C.Hosts {
		if h.Node.Host() != host || !h.Up() || command[0] != "marsadm" {
			continue
		}
		m := h.begin(stdin, command[1:]...)
		for !m.Done() {
			if err := s.co.Sleep(10 * time.Millisecond); err != nil {
				return nil, err
			}
		}
		if m.status != 0 {
			return nil, fmt.Errorf("exit status %d: %s", m.status, m.sys.err.String())
		}
		return m.sys.out.Bytes(), nil
	}
	return nil, errors.New("no connection")
}

// noKeys are keys that are only words: the simulated network asks for none.
type noKeys struct{}

func (noKeys) Mint(cluster, host string) (string, error) { return strings.Repeat("0", 64), nil }
func (noKeys) Request(host string) ([]byte, error)       { return []byte(host), nil }
func (noKeys) Install(string, []byte) (string, error)    { return UUID, nil }
func (noKeys) Admit([]byte, string) ([]byte, string, error) {
	return []byte("key"), strings.Repeat("0", 64), nil
}

// uuidBytes are the randomness that UUID comes from, by which the hosts of the
// simulated network know each other.
func uuidBytes() []byte {
	b := bytes.Repeat([]byte{0x11}, 16)
	b[6], b[8] = 0x01, 0x01
	return b
}

// command is a marsadm command under way.
type command struct {
	*simenv.Coroutine
	sys    *admSys
	line   string
	status int
}

// output is what it wrote.
func (m *command) output() string { return m.sys.out.String() + m.sys.err.String() }

// start starts a marsadm command on a host.
func (h *Host) start(args ...string) *command { return h.begin(nil, args...) }

// begin is start with an input.
func (h *Host) begin(stdin []byte, args ...string) *command {
	m := &command{status: -1, line: h.Node.Host() + ": marsadm " + strings.Join(args, " ")}
	p := place.FromEnv(func(string) string { return "" }, h.Node.Host())
	p.MarsDir = "/sim"
	m.Coroutine = h.Go(func(co *simenv.Coroutine) {
		m.sys = &admSys{h: h, co: co, place: p, in: stdin}
		m.status = marsadm.Run(m.sys, args)
	})
	return m
}

// try runs a marsadm command to its end and tells whether it succeeded.
func (h *Host) try(args ...string) (ok bool, output string) {
	h.C.T.Helper()
	m := h.start(args...)
	h.C.Wait(m.line, m.Done)
	return m.status == 0, m.output()
}

// adm runs a marsadm command, which must succeed.
func (h *Host) adm(args ...string) {
	h.C.T.Helper()
	if ok, out := h.try(args...); !ok {
		h.C.Fatalf("%s: marsadm %s failed:\n%s\n%s", h.Node.Host(), strings.Join(args, " "), out, h.C.Dump())
	}
}

// insist runs a marsadm command until it succeeds, as an administrator does who
// reads that something is not yet known.
func (h *Host) insist(args ...string) {
	h.C.T.Helper()
	for i := 0; ; i++ {
		ok, out := h.try(args...)
		if ok {
			return
		}
		if i == 100 {
			h.C.Fatalf("%s: marsadm %s failed:\n%s\n%s", h.Node.Host(), strings.Join(args, " "), out, h.C.Dump())
		}
		h.C.RunFor(300 * time.Millisecond)
	}
}

// refused runs a marsadm command, which must fail with a message like why.
func (h *Host) refused(why string, args ...string) {
	h.C.T.Helper()
	ok, out := h.try(args...)
	if ok || !strings.Contains(out, why) {
		h.C.Fatalf("%s: marsadm %s: ok %v, want a failure with %q:\n%s", h.Node.Host(), strings.Join(args, " "), ok, why, out)
	}
}

// pair makes a resource on a, which b and further hosts know.
func (c *Cluster) pair() (a *Host, others []*Host) {
	a, others = c.Hosts[0], c.Hosts[1:]
	for _, h := range c.Hosts {
		c.Wait("the daemons", func() bool { return h.Ready })
	}
	_, err := a.Data().WriteAt(c.Journal.Initial(), 0)
	c.Must(err, "fill the disk")
	for _, h := range others {
		_, err := h.Data().WriteAt(bytes.Repeat([]byte{0xee}, int(c.opt.Size)), 0)
		c.Must(err, "fill the disk")
	}
	a.adm("create-resource", Res, DiskPath)
	c.Wait("the device", a.Serving)
	return a, others
}

// join makes a host a member.
func (h *Host) join(timeout int) {
	h.C.T.Helper()
	h.C.Wait("the resource to be known on "+h.Node.Host(), func() bool { return h.Link("resource-r/primary") != "" && h.Link("resource-r/size") != "" })
	h.insist("join-resource", Res, DiskPath, fmt.Sprintf("--timeout=%d", timeout))
}

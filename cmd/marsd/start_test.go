package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/env/osenv"
	"mars/infra/place"
	"mars/infra/tunable"
	"mars/infra/wire/pki"

	"github.com/urfave/cli/v2"
)

func TestCheckTree(t *testing.T) {
	good := makeTree(t, map[string]string{"uuid": testUUID})
	file := filepath.Join(t.TempDir(), "file")
	write(t, file, "x")
	never := func(string) (bool, error) {
		t.Error("asked whether a directory is mounted that needs not be")
		return false, nil
	}
	for _, c := range []struct {
		name, dir string
		words     []string
	}{
		{"good", good, nil},
		{"missing", good + "-no", []string{"expected the directory", "--mars-dir"}},
		{"file", file, []string{"something else"}},
		{"no cluster", t.TempDir(), []string{"no link uuid", "create-cluster"}},
	} {
		uuid, err := checkTree(c.dir, never)
		t.Run(c.name, func(t *testing.T) { wantError(t, err, c.words...) })
		if err == nil && uuid != testUUID {
			t.Errorf("%s: uuid %q", c.name, uuid)
		}
	}
}

// TestMountPoint: /mars itself must be mounted; here it stands for itself only
// where the machine has one.
func TestMountPoint(t *testing.T) {
	if _, err := os.Stat(mustBeMounted); err != nil {
		if _, err := checkTree(mustBeMounted, nil); err == nil {
			t.Error("a missing /mars is accepted")
		}
		return
	}
	_, err := checkTree(mustBeMounted+"/", func(string) (bool, error) { return false, nil })
	wantError(t, err, "mount point")
}

func TestIsMounted(t *testing.T) {
	for dir, want := range map[string]bool{"/": true, "/proc": true, t.TempDir(): false} {
		if got, err := isMounted(dir); err != nil || got != want {
			t.Errorf("%s: mounted %v, %v; want %v", dir, got, err, want)
		}
	}
}

func TestFixMode(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		mode os.FileMode
		warn bool
	}{{0o755, true}, {0o700, false}, {0o500, true}} {
		var j journal
		if err := os.Chmod(dir, c.mode); err != nil {
			t.Fatal(err)
		}
		if err := fixMode(dir, j.logger()); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(dir)
		if err != nil || st.Mode().Perm() != 0o700 {
			t.Errorf("from %o: %v, %v", c.mode, st.Mode(), err)
		}
		if warned := strings.Contains(j.String(), "level=WARN"); warned != c.warn {
			t.Errorf("from %o: warned %v: %s", c.mode, warned, &j.b)
		}
	}
	wantError(t, fixMode(dir+"-no", quiet()), "no such file")
}

func TestCheckSpace(t *testing.T) {
	dir := t.TempDir()
	set := tunable.New()
	for _, pair := range []string{"required_total_space_0_gb=0", "required_free_space_1_gb=0", "required_free_space_2_gb=0", "required_free_space_3_gb=0", "required_free_space_4_gb=0"} {
		if err := set.AssignPair(pair); err != nil {
			t.Fatal(err)
		}
	}
	wantError(t, checkSpace(dir, set))
	if err := set.Assign("required_free_space_3_gb", "1000000"); err != nil {
		t.Fatal(err)
	}
	wantError(t, checkSpace(dir, set), "1000000 GiB", "required_total_space_0_gb")
}

func TestOwnAddress(t *testing.T) {
	dir := makeTree(t, map[string]string{"uuid": testUUID, "ips/ip-a": "127.0.0.7", "ips/ip-b": "nonsense"})
	for _, c := range []struct {
		host, ip, want string
		words          []string
	}{
		{"a", "", "127.0.0.7", nil},
		{"a", "::1", "::1", nil},
		{"c", "127.0.0.9", "127.0.0.9", nil},
		{"b", "", "", []string{"IP address", "nonsense", "/mars/ips/ip-b"}},
		{"c", "", "", []string{"/mars/ips/ip-c", "join-cluster"}},
		{"a", "host.example", "", []string{"--ip", "host.example"}},
	} {
		got, err := ownAddress(dir, c.host, c.ip)
		wantError(t, err, c.words...)
		if got != c.want {
			t.Errorf("%s %q: %q, want %q", c.host, c.ip, got, c.want)
		}
	}
}

func TestSecurity(t *testing.T) {
	dir := makeTree(t, map[string]string{"uuid": testUUID, "ips/ip-a": "127.0.0.1", "ips/ip-b": "127.0.0.2", "ips/ip-c": "127.0.0.3", "pki/revoked-c": "1", "pki/cert-b": "5e"})
	tree, err := osenv.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer tree.(io.Closer).Close()
	keys, other := filepath.Join(t.TempDir(), "pki"), filepath.Join(t.TempDir(), "pki")
	for path, cluster := range map[string]string{keys: testUUID, other: strings.Replace(testUUID, "b3", "00", 1)} {
		if err := pki.Mint(path, cluster, "a"); err != nil {
			t.Fatal(err)
		}
	}
	self := env.PeerID{Cluster: testUUID, Host: "a"}
	_, err = newSecurity(dir, keys+"-no", self, tree)
	wantError(t, err, "keys of this host", "none", "join-cluster")
	_, err = newSecurity(dir, other, self, tree)
	wantError(t, err, "cluster "+testUUID, "found keys of the cluster 00")
	_, err = newSecurity(dir, keys, env.PeerID{Cluster: testUUID, Host: "b"}, tree)
	wantError(t, err, "host b", "found keys of the host a", "--host")

	s, err := newSecurity(dir, keys, self, tree)
	if err != nil {
		t.Fatal(err)
	}
	if s.insecure() || s.Server() == nil || s.Client("b") == nil || s.Self() != self {
		t.Errorf("with keys: %+v", s)
	}
	for _, c := range []struct {
		host, print string
		denied      bool
	}{{"b", "5e", false}, {"b", "5f", true}, {"b", "", true}, {"a", "5e", false}} { // of a nothing is noted
		if got := s.rules.Denied(c.host, c.print); got != c.denied {
			t.Errorf("certificate %s of %s denied: %v", c.print, c.host, got)
		}
	}
	for host, words := range map[string][]string{"b": nil, "c": {"revoked"}, "d": {"not a member", "/mars/ips/ip-d"}} {
		wantError(t, s.rules.Allowed(host), words...)
	}

	setLinks(t, dir, map[string]string{"defaults/insecure-network": "1"})
	s, err = newSecurity(dir, keys+"-no", self, tree)
	if err != nil {
		t.Fatal(err)
	}
	if !s.insecure() || s.Server() != nil || s.Client("b") != nil {
		t.Errorf("without keys: %+v", s)
	}
}

// failingTree can not tell whether a host was revoked.
type failingTree struct{ treeReader }

func (f failingTree) Lstat(name string) (env.FileInfo, error) {
	if strings.HasPrefix(name, "pki/") {
		return env.FileInfo{}, errors.New("bad sector")
	}
	return env.FileInfo{Kind: env.KindLink}, nil
}
func (f failingTree) Readlink(string) (string, error) { return "", errors.New("bad sector") }

func TestDoubtKeepsOut(t *testing.T) {
	wantError(t, allowed(failingTree{}, "b"), "bad sector")
	if !denied(failingTree{}, "b", "5e") {
		t.Error("a certificate of which nothing is known is let in")
	}
}

// parse runs the flags of marsd run and returns the options.
func parse(t *testing.T, vars map[string]string, args ...string) (*options, error) {
	t.Helper()
	getenv := func(name string) string { return vars[name] }
	app := newApp(getenv, "uname", io.Discard, io.Discard)
	var got *options
	run := app.Commands[slices.IndexFunc(app.Commands, func(c *cli.Command) bool { return c.Name == "run" })]
	inner := run.Action
	run.Action = func(c *cli.Context) error {
		if err := noArgs(c); err != nil {
			return inner(c)
		}
		o, err := runOptions(c, place.FromEnv(getenv, "uname"), getenv)
		got = o
		return err
	}
	err := app.Run(append([]string{"marsd", "run"}, args...))
	return got, err
}

func TestOptions(t *testing.T) {
	o, err := parse(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	if o.MarsDir != "/mars" || o.RunDir != "/run/mars" || o.DevDir != "/dev/mars" || o.PKIDir != "/etc/mars/pki" ||
		o.Host != "uname" || o.Device != "auto" || o.PortSet || o.Grace != 10*time.Second {
		t.Errorf("defaults: %+v", o)
	}
	vars := map[string]string{"MARS_DIR": "/m", "MARS_RUN_DIR": "/r", "MARS_HOST": "h", "MARS_PORT": "9000", "MARS_SET": "propagate_interval_sec=9,copy_overlap=0"}
	o, err = parse(t, vars, "--run-dir", "/r2", "--set", "copy_overlap=1", "--stop-grace", "3s", "--log-level", "debug", "--device", "fuse")
	if err != nil {
		t.Fatal(err)
	}
	if o.MarsDir != "/m" || o.RunDir != "/r2" || o.Host != "h" || o.Port != 9000 || !o.PortSet || o.Grace != 3*time.Second || o.Level != -4 || o.Device != "fuse" {
		t.Errorf("environment and flags: %+v", o)
	}
	if want := []string{"propagate_interval_sec=9", "copy_overlap=0", "copy_overlap=1"}; !slices.Equal(o.Set, want) {
		t.Errorf("--set: %q, want %q", o.Set, want)
	}
	if o, err = parse(t, vars, "--port", "9100"); err != nil || o.Port != 9100 {
		t.Errorf("--port: %+v, %v", o, err)
	}
}

func TestBadOptions(t *testing.T) {
	for _, c := range []struct {
		vars  map[string]string
		args  []string
		words []string
	}{
		{nil, []string{"extra"}, []string{"no arguments", "extra"}},
		{nil, []string{"--mars-dir", "rel"}, []string{"--mars-dir", "absolute"}},
		{nil, []string{"--device", "x"}, []string{"--device must be"}},
		{nil, []string{"--host", "a/b"}, []string{"--host", "a/b"}},
		{nil, []string{"--port", "0"}, []string{"--port must be"}},
		{map[string]string{"MARS_PORT": "x"}, nil, []string{"MARS_PORT"}},
		{nil, []string{"--log-level", "loud"}, []string{"--log-level"}},
		{nil, []string{"--stop-grace", "-1s"}, []string{"--stop-grace"}},
		{nil, []string{"--nonsense"}, []string{"nonsense"}},
		{nil, []string{"--metrics", "x"}, []string{"--metrics must be"}},
		{nil, []string{"--pprof"}, []string{"--pprof needs --metrics"}},
	} {
		_, err := parse(t, c.vars, c.args...)
		wantError(t, err, c.words...)
	}
}

func TestVersionAndHelp(t *testing.T) {
	for arg, want := range map[string]string{"--version": "marsd version ", "help": "recover", "--help": "SIGTERM"} {
		var out bytes.Buffer
		if err := newApp(func(string) string { return "" }, "h", &out, io.Discard).Run([]string{"marsd", arg}); err != nil {
			t.Errorf("%s: %v", arg, err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s says %q", arg, out.String())
		}
	}
}

// TestAwait: ready, stop in order, a second signal, a fatal error.
func TestAwait(t *testing.T) {
	boom := errors.New("boom")
	for _, c := range []struct {
		name    string
		signals int
		answers bool // strategy stops when it is asked to
		fatal   error
		words   []string
	}{
		{"in order", 1, true, nil, nil},
		{"second signal", 2, false, nil, []string{"while stopping", "at once"}},
		{"fatal", 0, false, boom, []string{"cannot go on", "boom"}},
		{"fatal while stopping", 1, false, boom, []string{"boom"}},
	} {
		var j journal
		d := &daemon{opt: &options{}, stderr: &j, log: j.logger(), tun: tunable.New(), ready: make(chan struct{}, 1), fatal: make(chan error, 1)}
		signals := make(chan os.Signal, 2)
		if c.fatal != nil && c.signals == 0 {
			d.fatal <- c.fatal
		}
		for range c.signals {
			signals <- os.Interrupt
		}
		stops := 0
		err := d.await(signals, func(done func()) {
			stops++
			if c.answers {
				done()
			} else if c.fatal != nil {
				d.fatal <- c.fatal
			}
		})
		t.Run(c.name, func(t *testing.T) { wantError(t, err, c.words...) })
		if want := min(c.signals, 1); stops != want {
			t.Errorf("%s: asked to stop %d times, want %d", c.name, stops, want)
		}
	}
}

package place

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFromEnv(t *testing.T) {
	env := map[string]string{"MARS_DIR": "/tmp/m", "MARS_HOST": "A", "MARS_PORT": "9000", "MARS_SET": "a=1, b=2,"}
	got := FromEnv(func(k string) string { return env[k] }, "uname")
	want := Place{MarsDir: "/tmp/m", RunDir: "/run/mars", DevDir: "/dev/mars", PKIDir: "/etc/mars/pki", Host: "A", Port: 9000,
		Device: "auto", SSH: "ssh", Set: []string{"a=1", "b=2"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := got.Check(); err != nil {
		t.Error(err)
	}
}

func TestCheckRefuses(t *testing.T) {
	good := FromEnv(func(string) string { return "" }, "h")
	for name, spoil := range map[string]func(*Place){
		"relative directory": func(p *Place) { p.MarsDir = "mars" },
		"port":               func(p *Place) { p.Port = 65534 },
		"device":             func(p *Place) { p.Device = "nbd" },
	} {
		p := good
		spoil(&p)
		if p.Check() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

package place

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Place is where one node keeps its things.
type Place struct {
	MarsDir, RunDir, DevDir, PKIDir string
	Host                            string
	IP                              string // empty: found by the caller
	Port                            int
	Device                          string   // auto, ublk, fuse
	Set                             []string // X=V
	SSH                             string
}

// FromEnv reads the variables; hostname is what uname -n says.
func FromEnv(getenv func(string) string, hostname string) Place {
	def := func(name, value string) string {
		if v := getenv(name); v != "" {
			return v
		}
		return value
	}
	p := Place{
		MarsDir: def("MARS_DIR", "/mars"), RunDir: def("MARS_RUN_DIR", "/run/mars"),
		DevDir: def("MARS_DEV_DIR", "/dev/mars"), PKIDir: def("MARS_PKI_DIR", "/etc/mars/pki"),
		Host: def("MARS_HOST", hostname), IP: getenv("MARS_IP"), Device: def("MARS_DEVICE", "auto"), SSH: def("MARS_SSH", "ssh"),
		Port: 7777,
	}
	if n, err := strconv.Atoi(getenv("MARS_PORT")); err == nil {
		p.Port = n
	}
	for _, s := range strings.Split(getenv("MARS_SET"), ",") {
		if s = strings.TrimSpace(s); s != "" {
			p.Set = append(p.Set, s)
		}
	}
	return p
}

// Check finds what can not work, before anything is touched.
func (p *Place) Check() error {
	for _, d := range []struct{ flag, dir string }{
		{"mars-dir", p.MarsDir}, {"run-dir", p.RunDir}, {"dev-dir", p.DevDir}, {"pki-dir", p.PKIDir},
	} {
		if !filepath.IsAbs(d.dir) {
			return fmt.Errorf("--%s must be an absolute path, found %q", d.flag, d.dir)
		}
	}
	if p.Port < 1 || p.Port > 65535-3 {
		return fmt.Errorf("--port must be between 1 and %d, found %d", 65535-3, p.Port)
	}
	switch p.Device {
	case "auto", "ublk", "fuse":
	default:
		return fmt.Errorf("--device must be auto, ublk or fuse, found %q", p.Device)
	}
	return nil
}

// Lock is the file whose lock says that a marsd is running here (the manual's
// "kernel module is loaded").
func (p *Place) Lock() string { return filepath.Join(p.RunDir, "lock") }

// Sys is the directory of the tunables (the manual's /proc/sys/mars).
func (p *Place) Sys() string { return filepath.Join(p.RunDir, "sys") }

// DevicePath is where the device of that name appears.
func (p *Place) DevicePath(name string) string { return filepath.Join(p.DevDir, name) }

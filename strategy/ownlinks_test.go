package strategy

import (
	"strings"
	"testing"
	"time"

	"mars/infra/symtree"
)

// TestSimDeviceName: whatever stands in the link device-HOST, the daemon goes on; a
// value that no device can be called by counts as none.
func TestSimDeviceName(t *testing.T) {
	for _, value := range []string{"../../outside", "a/b", "..", " ", "a\nb", strings.Repeat("x", 300), "-x", "all"} {
		w := newWorld(t, 1)
		a := newHosts(t, w, "a")[0]
		a.create()
		a.set(symtree.DevicePath("r", "a"), value)
		wait(t, w, "the device under the name of the resource, not "+value, func() bool { return a.device() != nil && a.actual("device-r", "1")() })
		a.write(w, 0, 1)
		// Another start does the same.
		a.Kill()
		a.boot()
		wait(t, w, "the device after a start", func() bool { return a.device() != nil && a.actual("device-r", "1")() })
	}
}

// TestSimOwnLinksHostile: whatever root writes into whatever link of the own host
// or the resource, the daemon does not end, and goes on when the value is back.
func TestSimOwnLinksHostile(t *testing.T) {
	values := []string{"../../etc/passwd", "a\nb", "-1", "99999999999999999999", "(none)", "log-999999999-a,9223372036854775807,9223372036854775807", "log-000000001-a,1,0", strings.Repeat("x", 4000), "\xff\xfe", ",", ":", "0", "1"}
	w := newWorld(t, 1)
	a := newHosts(t, w, "a")[0]
	a.create()
	up := func() bool { return a.device() != nil && a.actual("device-r", "1")() && a.actual("is-attached", "1")() }
	wait(t, w, "the device", up)
	a.write(w, 0, 1)
	var paths []string
	a.tree().Walk(func(path string, e symtree.Entry) bool {
		if e.Kind == symtree.Link && path != symtree.UUIDPath() {
			paths = append(paths, path)
		}
		return true
	})
	for _, path := range paths {
		for _, value := range values {
			old, _ := a.tree().Value(path)
			a.set(path, value)
			_ = w.Run(func() bool { return false }, 3*time.Second)
			a.set(path, old)
			if err := w.Run(up, 2*time.Minute); err != nil {
				t.Errorf("%s -> %.40q: %v; it says %v", path, value, err, a.tree().List(symtree.ActualDir("r", "a")))
				return
			}
		}
	}
}

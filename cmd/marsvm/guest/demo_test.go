// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"regexp"
	"testing"
)

// TestDemo: the demo's whole story, with ext4 and real files, under this kernel.
func TestDemo(t *testing.T) {
	if !inGuest(t, "demo") {
		return
	}
	s := newStage(t)
	s.must("mkfs.ext4", "-q", "-F", "/dev/vda")
	s.must("mount", "-t", "ext4", "/dev/vda", "/mnt")
	cmd := exec.Command(binDir+"/marsdemo", "-bin", binDir, "-tree", "/opt/tree", "-limit", "25m", "-slow", "10", "-size", "32")
	cmd.Env = append(os.Environ(), "TMPDIR=/mnt")
	var said bytes.Buffer
	cmd.Stdout = io.MultiWriter(os.Stdout, &said)
	cmd.Stderr = cmd.Stdout
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`demo: OK \((.*)\)`).FindSubmatch(said.Bytes())
	if m == nil {
		t.Fatal("the demo did not say OK")
	}
	s.must("umount", "/mnt")
	s.dmesgClean()
	s.nothingLeft()
	result(t, "demo", "%s", m[1])
}

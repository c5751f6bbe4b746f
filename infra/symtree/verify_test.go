// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"testing"

	"mars/infra/env"
	"mars/infra/env/osenv"
)

func TestVerify(t *testing.T) {
	if n, err := ParseVerify(VerifyValue(17, 4)); err != nil || n != [2]int64{17, 4} {
		t.Errorf("%v %v", n, err)
	}
	for _, v := range []string{"", "1", "1,2,3", "1,-2", "a,1", ",", "1,02"} {
		if n, err := ParseVerify(v); !errors.Is(err, ErrValue) || n != [2]int64{} {
			t.Errorf("%q: %v %v", v, n, err)
		}
	}
}

func TestMessageFile(t *testing.T) {
	for name, want := range map[string]bool{
		"1.info.log": true, "5.total.status": true, "3.error.status.tmp": true, "logstatus-a.status": true, "logstatus-host.x-1.log": true,
		"": false, ".status": false, "log-000000001-a": false, "x.info.log": false, "1.log": false, "1..log": false, "1.Info.log": false,
		"11.info.log": false, "logstatus-.log": false, "logstatus-a": false, "1.info": false, "replay-a": false, "1.in/fo.log": false,
	} {
		if got := MessageFile(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}

// A directory goes together with the message files in it, but not with what
// somebody else has put there, nor with what comes while it goes.
func TestRemoveWithMessages(t *testing.T) {
	for _, c := range []struct {
		name  string
		files []string
		gone  bool
	}{
		{"messages", []string{"1.info.status", "logstatus-h.log"}, true},
		{"stranger", []string{"1.info.status", "notes"}, false},
		{"log", []string{"log-000000001-h"}, false},
	} {
		fs, err := osenv.NewFS(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		store := NewStore(fs, DaemonTemp)
		if _, err := store.Commit([]Change{Set("resource-r/size", "1", 1)}); err != nil {
			t.Fatal(err)
		}
		for _, f := range c.files {
			if err := fs.Create("resource-r/" + f); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.Commit([]Change{Remove("resource-r/size"), Remove("resource-r")}); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if _, err := fs.Lstat("resource-r"); errors.Is(err, env.ErrNotExist) != c.gone {
			t.Errorf("%s: gone should be %v, found %v", c.name, c.gone, err)
		}
	}
	fs := newMemFS()
	store := NewStore(fs, DaemonTemp)
	if _, err := store.Commit([]Change{Set("resource-r/size", "1", 1)}); err != nil {
		t.Fatal(err)
	}
	fs.hook = func(op, p string) {
		if op == "remove" && p == "resource-r" {
			fs.hook = nil
			if err := fs.Create("resource-r/1.info.status"); err != nil {
				t.Error(err)
			}
		}
	}
	skipped, err := store.Commit([]Change{Remove("resource-r/size"), Remove("resource-r")})
	if err != nil || len(skipped) != 1 {
		t.Errorf("skipped %v, %v", skipped, err)
	}
}

// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mars/infra/symtree"
	"mars/infra/translog"
)

// someLog is a log of n batches with one record of 512 bytes each; ends are the
// ends of the batches.
func someLog(t *testing.T, n int) (data []byte, ends []int64) {
	t.Helper()
	id := translog.Identity{Resource: "r", Number: 1, Origin: "A", Nonce: [16]byte{1}}
	b, err := translog.NewBuilder(id, translog.Stamp{Sec: 1_000_000_000})
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64<<10)
	for i := range n {
		b.Begin(buf, int64(len(data)), int64(len(data)))
		b.Append(translog.CodeWriteNew, int64(i)*512, make([]byte, 512), translog.Stamp{Sec: 1_000_000_000, Nsec: int64(i)})
		data = append(data, b.Close(512)...)
		ends = append(ends, int64(len(data)))
	}
	return data, ends
}

func TestLogDump(t *testing.T) {
	s := newPair(t, "A")
	data, ends := someLog(t, 3)
	if err := s.fs.WriteFile("resource-r/log-000000001-A", append(data, make([]byte, 4096)...)); err != nil {
		t.Fatal(err)
	}
	s.must("log dump /mars/resource-r/log-000000001-A")
	out := s.out.String()
	for _, want := range []string{"\tFILLER\t", "\t512+512\n", "log-000000001-A of resource r, 3 records and ", fmt.Sprintf("sound up to %d of %d bytes", ends[2], ends[2]+4096), "end (zeros"} {
		if !strings.Contains(strings.ToUpper(out), strings.ToUpper(want)) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	s.must("log dump " + s.place.MarsDir + "/resource-r/log-000000001-A --json")
	lines := strings.Split(strings.TrimSpace(s.out.String()), "\n")
	var rep logReport
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &rep); err != nil || rep.Records != 3 || rep.End != ends[2] || rep.Resource != "r" || rep.Verdict != "end" || int(rep.Fillers)+4 != len(lines) {
		t.Errorf("%v %+v of %d lines", err, rep, len(lines))
	}
	var rec recordLine
	if err := json.Unmarshal([]byte(lines[1]), &rec); err != nil || rec.Seq != 2 || rec.Len != 512 {
		t.Errorf("%v %+v", err, rec)
	}
}

func TestLogCheck(t *testing.T) {
	data, ends := someLog(t, 4)
	const file = "resource-r/log-000000001-A"
	for name, c := range map[string]struct {
		change    func([]byte) []byte
		published int64
		bad       bool
		text      string
	}{
		"sound":            {func(d []byte) []byte { return d }, ends[3], false, "end"},
		"empty":            {func([]byte) []byte { return nil }, 0, false, "empty"},
		"torn":             {func(d []byte) []byte { return d[:ends[3]-300] }, 0, false, "torn tail"},
		"torn, published":  {func(d []byte) []byte { return d[:ends[3]-300] }, ends[3], true, "damage"},
		"short, published": {func(d []byte) []byte { return d[:ends[2]] }, ends[3], true, "damage"},
		"flipped":          {func(d []byte) []byte { d[ends[0]+60] ^= 1; return d }, 0, true, "proved by the record at"},
		"foreign":          {func(d []byte) []byte { clear(d[:200]); return d }, ends[3], true, "damage"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newPair(t, "A")
			s.set("resource-r/version-000000001-A", symtree.VersionValue(1, "A", c.published, ""))
			if err := s.fs.WriteFile(file, c.change(append([]byte{}, data...))); err != nil {
				t.Fatal(err)
			}
			code := s.adm("log check /mars/" + file)
			if (code == 1) != c.bad || !strings.Contains(s.out.String(), c.text) {
				t.Errorf("exit status %d, bad %v\n%s%s", code, c.bad, s.out.String(), s.err.String())
			}
			if c.bad && !strings.Contains(s.err.String(), "1 of 1 logfiles are damaged") {
				t.Error(s.err.String())
			}
		})
	}
}

func TestLogRefuses(t *testing.T) {
	s := newPair(t, "A")
	s.refused("log dump", 2, "argument is missing")
	s.refused("log show /mars/resource-r/log-000000001-A", 2, "neither dump nor check")
	s.refused("log check /mars/resource-r/log-000000009-A", 1, "cannot open")
	s.refused("log check /mars/resource-r", 1, "no regular file")
	s.refused("log check /mars/resource-r/size", 1, "no regular file")
	s.refused("log check /etc/passwd", 1, "not below /mars")
	s.refused("log check /mars/../etc/passwd", 1, "not below /mars")
}

// outside is a host that can open files outside of /mars.
type outside struct{ *fakeSys }

func (o outside) OpenFile(path string) (interface {
	io.ReaderAt
	io.Closer
}, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	return f, info.Size(), err
}

func TestLogOutside(t *testing.T) {
	s := outside{newFake(t, "A")}
	data, _ := someLog(t, 2)
	path := filepath.Join(t.TempDir(), "copy")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if code := Run(s, []string{"log", "check", path}); code != 0 || !strings.Contains(s.out.String(), "2 records") {
		t.Errorf("exit status %d %s%s", code, s.out.String(), s.err.String())
	}
	if code := Run(s, []string{"log", "check", path + "x"}); code != 1 {
		t.Errorf("exit status %d", code)
	}
}

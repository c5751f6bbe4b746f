package tunable

import (
	"errors"
	"strings"
	"testing"
)

func TestParseSysctl(t *testing.T) {
	for _, tc := range []struct {
		line, name, value string
		optional, ok, bad bool
	}{
		{line: ""}, {line: "  "}, {line: "# mars.a = 1"}, {line: "; mars.a = 1"},
		{line: "vm.swappiness = 1"}, {line: "mars = 1"}, {line: "marsx.a = 1"},
		{line: "vm.x = mars.y"}, {line: "no assignment"},
		{line: "mars.a = 1", name: "a", value: "1", ok: true},
		{line: "\tmars/a=1\r\n", name: "a", value: "1", ok: true},
		{line: "mars.tuning.a =  1 ", name: "tuning/a", value: "1", ok: true},
		{line: "mars/tuning/a = 1", name: "tuning/a", value: "1", ok: true},
		{line: "-mars.a = 1", name: "a", value: "1", optional: true, ok: true},
		{line: "mars.a = b=c", name: "a", value: "b=c", ok: true},
		{line: "mars.a", bad: true}, {line: "mars. = 1", bad: true}, {line: "mars.", bad: true},
	} {
		name, value, optional, ok, err := ParseSysctl(tc.line)
		if name != tc.name || value != tc.value || optional != tc.optional || ok != tc.ok || errors.Is(err, ErrSyntax) != tc.bad {
			t.Errorf("ParseSysctl(%q) = %q, %q, %v, %v, %v", tc.line, name, value, optional, ok, err)
		}
	}
}

func TestApplySysctl(t *testing.T) {
	const text = `# tuned by hand
kernel.panic = 10
mars.logrot_auto_gb = 16
mars.logrot_auto_gb = 8
mars.mem_limit_percent = 99
-mars.mem_limit_percent = 98
mars.tuning.traffic_limit_kb = 5
mars.mapfree_period_sec = 10
mars.scan_interval_sec
mars.io_flying_count = 1
mars.do_fast_fullsync=0`
	s := New()
	errs := s.ApplySysctl("/etc/sysctl.d/mars.conf", text)
	for i, want := range []struct {
		at  string
		err error
	}{{":5: ", ErrRange}, {":8: ", ErrObsolete}, {":9: ", ErrSyntax}, {":10: ", ErrReadOnly}} {
		if i >= len(errs) || !errors.Is(errs[i], want.err) || !strings.Contains(errs[i].Error(), "mars.conf"+want.at) {
			t.Fatalf("errors %v, want number %d to be at %s%v", errs, i, want.at, want.err)
		}
	}
	if len(errs) != 4 {
		t.Errorf("%d errors: %v", len(errs), errs)
	}
	if s.LogrotAutoBytes() != 8<<30 || s.MemLimitPercent() != 20 || s.TrafficLimitBytes() != 5<<10 || s.DoFastFullsync() {
		t.Error("the good lines had no effect")
	}
}

func FuzzApplySysctl(f *testing.F) {
	f.Add("mars.logrot_auto_gb = 8\n")
	f.Add("-mars/mars_port=1\n#\n\n;x")
	f.Add("mars.tuning.writeback_until_percent=-0")
	f.Fuzz(func(t *testing.T, text string) {
		s := New()
		s.ApplySysctl("f", text)
		s.Each(func(d Def, v int64) {
			switch {
			case d.Mode == ReadOnly && v != 0:
				t.Errorf("%s was assigned", d.Name)
			case d.Mode != ReadOnly && (v < d.Min || v > d.Max):
				t.Errorf("%s = %d is outside of %s", d.Name, v, d.Range())
			case v != d.Default && !strings.Contains(text, "mars"):
				t.Errorf("%s = %d without being named", d.Name, v)
			}
		})
	})
}

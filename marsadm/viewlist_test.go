// SPDX-License-Identifier: GPL-2.0-or-later

package marsadm

import (
	"slices"
	"strings"
	"testing"

	"mars/infra/symtree"
	"mars/marsadm/macro"
)

// expand makes the names that a pattern with {a,b} stands for.
func expand(pattern string) []string {
	open := strings.IndexByte(pattern, '{')
	if open < 0 {
		return []string{pattern}
	}
	end := open + strings.IndexByte(pattern[open:], '}')
	var list []string
	for word := range strings.SplitSeq(pattern[open+1:end], ",") {
		list = append(list, expand(pattern[:open]+word+pattern[end+1:])...)
	}
	return list
}

// originalMacros are the macros that "view" of the original brings along.
func originalMacros() []string {
	var list []string
	for _, p := range strings.Fields(`default default-{resource,global,header,footer} device-info device-stats diskstate outdated-flags
		replstate flags todo-role role primarynode commstate syncinfo replinfo sync-line fetch-line replay-line resource-errors comminfo
		{default,diskstate,replstate,flags,todo-role,role,primarynode,commstate,syncinfo,replinfo}-1and1 1and1 state cstate dstate status`) {
		list = append(list, expand(p)...)
	}
	return list
}

// originalFunctions are its primitives and the functions of its language.
func originalFunctions() []string {
	var list []string
	for _, p := range strings.Fields(`let append set dump-vars
		+ - * / % & | ^ << >> min max < > <= >= == != lt gt le ge eq ne match =~ && and || or ! not ~
		toupper tolower length subst sprintf human-numbers human-seconds progress errno-text
		if unless elsif elsunless while until for foreach foreach-glob get-glob protect eval eval-down tmp include call callstack
		abort return stop-eval next last warn die sleep timeout
		is-{member,guest} {,count-}{my,all}-{resources,members,guests} {,count-}{cluster,resource,guest,configured}-peers
		readlink setlink uuid tree {rest,total}-space tree-version features-version global-sync-limit-value
		get-primary actual-primary todo-{primary,secondary,attach,sync,fetch,replay} todo does
		{is,nr}-{attach,sync,fetch,replay,primary,secondary,emergency} is-{split-brain,consistent,almost-consistent,orphan,alive,module-loaded}
		get-{disk,device} {disk,device}-present disk-error {disk,resource,device,resource-possible}-size
		device-{opened,nrflying,error,completion-stamp,completion-age} known-device-{mounted,mountpoint,fstype,mountflags}
		{sync,fetch,replay,work}-{size,pos,rest,reached,almost-reached,threshold-reached,percent,permille,vector}
		summary-vector writeback-rest {deletable,occupied}-size replay-basenr {fetch,replay,work}-{lognr,logcount}
		{device,sync,fetch,replay,work}-{rate,ops-rate,amount-rate,remain} time real-time {alive,fetch,replay,work}-{timestamp,age,lag}
		get-msg {all,the}-{,pretty-}{,global-}{,err-,wrn-,inf-}{msg,count} get-resource-{fat,err,wrn}{,-count} get-log-status replay-code
		{potential,implemented,usable}-features {implemented,usable}-{compressions,digests} enabled-{log,net}-compressions
		disabled-{log,net}-digests used-{log,net}-{compression,digest} wait-{is,todo}-{attach,sync,fetch,replay,primary,secondary}-{on,off}
		wait-resource wait-cluster systemd-unit`) {
		list = append(list, expand(p)...)
	}
	return list
}

// showAllMacros is a text that calls all of them that neither wait nor end it.
func showAllMacros() string {
	var b strings.Builder
	for _, name := range append(originalMacros(), originalFunctions()...) {
		if plain(name) {
			b.WriteString("%" + name + "{}\\n")
		}
	}
	return b.String()
}

// plain tells of a macro that it tells of the tree, and does no more.
func plain(name string) bool {
	return goodMacroName(name) && !slices.Contains(macro.Names(), name) && !strings.HasPrefix(name, "wait-") && name != "" &&
		!slices.Contains([]string{"setlink", "sleep", "timeout", "call", "include", "readlink", "warn", "dump-vars"}, name)
}

// TestViewIsWhole: all that the original has is there, may be called with and
// without a resource, on every host, and is in "help macros".
func TestViewIsWhole(t *testing.T) {
	s := newPair(t, "B")
	s.heard()
	v := &view{x: &run{sys: s, tree: symtree.New()}, texts: map[string]*macro.Text{}, known: map[string]*viewFacts{}}
	v.prims = v.primitives().list
	names := append(originalMacros(), originalFunctions()...)
	s.must("help macros")
	help := strings.Fields(s.out.String())
	for _, name := range names {
		if !slices.Contains(help, name) {
			t.Errorf("help macros does not name %s", name)
		}
		if v.lookup(plainMacro(name)) == nil && !slices.Contains(macro.Names(), name) {
			t.Errorf("%s is missing", name)
		}
	}
	s.out.Reset()
	if code := Run(s, []string{"view-x", "r", "--macro=" + showAllMacros()}); code != 0 || strings.Count(s.out.String(), "\n") < 250 {
		t.Errorf("all at once: exit status %d, %s%s", code, s.out.String(), s.err.String())
	}
	for _, name := range names {
		if !plain(name) {
			continue
		}
		for _, line := range []string{"view-" + name + " r --timeout=0", "view-" + name + " --timeout=0", "view-" + name + " r --host=C --timeout=0"} {
			if code := s.adm(line); code != 0 {
				t.Errorf("%s: exit status %d, %s", line, code, s.err.String())
			}
		}
	}
}

// TestViewMessages: what marsd says is wrong is in the macros that tell of errors,
// as what the original's daemon says is.
func TestViewMessages(t *testing.T) {
	s := newPair(t, "B")
	s.heard()
	at := "resource-r/actual-B/"
	s.set(at+"disk-error", "a write failed", at+"log-error", "(none)", at+"why", "the disk is slow", at+"split-brain", "two logs follow log 1",
		at+"msg-err-other", "1700000000.000000001 bad", at+"msg-wrn-x", "OK", at+"msg-inf-y", "well")
	for macro, want := range map[string]string{
		"%all-err-msg{}":                    "a write failed\n1700000000.000000001 bad\ntwo logs follow log 1",
		"%all-count{} %the-err-count{}":     "5 3",
		"%all-wrn-msg{}|%all-inf-msg{}":     "the disk is slow|well",
		"%disk-error{} %errno-text{-5}":     "-5 error 5",
		"%sync-line{}":                      "       > sync: 62.500/62.500 MiB rate: 0 B/sec  remaining: 00:00:00 hrs",
		"%wait-cluster{A}%wait-cluster{}":   "00",
		"%wait-cluster{B, C}%timeout{0}":    "0",
		"%let{a}{\\e[1m}%dump-vars{}%{res}": "r",
	} {
		s.out.Reset()
		s.err.Reset()
		if code := Run(s, []string{"view-x", "r", "--timeout=0", "--macro=" + macro}); code != 0 || strings.TrimSuffix(s.out.String(), "\n") != want {
			t.Errorf("%s: exit status %d, %q, expected %q", macro, code, s.out.String(), want)
		}
		if strings.Contains(macro, "dump") && (!strings.Contains(s.err.String(), "res=\"r\"\n") || !strings.Contains(s.err.String(), `a="\x1b[1m"`)) {
			t.Errorf("variables go to stderr: %q", s.err.String())
		}
	}
	s.must("view-resource-errors r")
	if want := "     a write failed\n     " + readableTimes("1700000000.000000001 bad") + "\n     SPLIT BRAIN: two logs follow log 1\n"; s.out.String() != want {
		t.Errorf("%q, expected %q", s.out.String(), want)
	}
}

// TestViewWaitsForHosts: wait-cluster waits for the hosts that are named.
func TestViewWaitsForHosts(t *testing.T) {
	s := newPair(t, "B")
	s.heard()
	s.react = func() { s.set("time-A", "2.000000000") }
	if code := Run(s, []string{"view-x", "r", "--timeout=5", "--macro=%wait-cluster{A}%wait-cluster{A,C}"}); code != 0 || s.out.String() != "10\n" {
		t.Errorf("exit status %d, %q", code, s.out.String())
	}
}

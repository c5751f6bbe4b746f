package simtest

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"mars/infra/env"
	"mars/infra/symtree"
)

// writer is who may write a link.
type writer uint8

const (
	adm    writer = 1 << iota // marsadm
	daemon                    // marsd
	other                     // on any host: not only on the one in the name
)

// linkRow is one line of the table of all links: the form of its path, in which $
// is a host, and of its value; who writes it; and on which hosts it is to be
// seen: one of the letters a, b for the hosts in its name, - where there is none.
type linkRow struct {
	path, value string
	by          writer
	seen        string
	never       string // why it is not written here
}

// tableRes is no resource of the journal's, which this test has no use for.
const tableRes = "mydata"

const (
	logRE  = `log-\d{9}-[AB]`
	headRE = `[0-9a-f]{32},` + logRE + `,\d+`
	dirRE  = `` // of a directory
)

// linkTable is what stands in /mars. The names and values are those of the
// original in the manual's time; what it does not have is said to be ours.
func linkTable() []linkRow {
	return slices.Concat(globalRows(), resourceRows(), factRows())
}

func globalRows() []linkRow {
	return []linkRow{
		{path: "uuid", value: `[0-9a-f-]{36}`, by: adm | other, seen: "-"},
		{path: "ips", value: dirRE, by: adm | daemon | other, seen: "-"},
		{path: "ips/ip-$", value: `\S+`, by: adm, seen: "ab"},
		{path: "alive-$", value: `[01]`, by: daemon | adm, seen: "ab"},
		{path: "time-$", value: `\d+\.\d{9}`, by: daemon | adm, seen: "ab"},
		{path: "tree-$", value: `0\.1`, by: daemon | adm, seen: "ab"},
		{path: "emergency-$", value: `[0-4]`, by: daemon, seen: "ab"},
		{path: "rest-space-$", value: `-?\d+`, by: daemon, seen: "ab"},
		{path: "todo-global", value: dirRE, by: adm | daemon | other, seen: "-"},
		{path: `todo-global/delete-\d{9}-$`, value: `/mars/.+`, by: adm | daemon | other, seen: "a"},
		{path: "todo-global/deleted-$", value: `1|\d{9}`, by: daemon | adm, seen: "ab"},
		{path: "todo-global/acked-$", value: `[AB]:\d+:\d+(,[AB]:\d+:\d+)*`, by: daemon | adm, seen: "ab"}, // ours
		{path: "userspace", value: dirRE, by: adm | daemon | other, seen: "-"},
		{path: "userspace/.+", value: `.+`, by: adm | other, seen: "-"},
		{path: "defaults", value: dirRE, by: adm | daemon | other, seen: "-"},
		{path: "defaults/[a-z-]+", value: `.+`, by: adm | other, seen: "-"},
		{path: "defaults-$", value: dirRE, by: adm | daemon | other, seen: "ab"},
		{path: "defaults-$/[a-z-]+", never: "for the administrator's own use; nothing is written here by itself"},
		{path: "actual-$", value: dirRE, by: daemon | other, seen: "ab"},
		{path: "actual-$/devices", never: "ours, for hosts that lack something of what their kernel should have for devices"},
		{path: "pki", value: dirRE, by: adm | daemon | other, seen: "-"},
		{path: "pki/cert-$", value: `[0-9a-f]{64}`, by: adm | other, seen: "ab"}, // ours; noted by who admits the host
		{path: "pki/revoked-$", never: "of hosts that have left alone: TestSSH of the end-to-end tests looks at it"},
		{path: `(.+/)?\.deleted-[^/]+`, value: `1`, by: daemon | other, seen: "-"},
	}
}

func resourceRows() []linkRow {
	const r = "resource-" + tableRes
	return []linkRow{
		{path: r, value: dirRE, by: adm | daemon | other, seen: "-"},
		{path: r + "/size", value: `\d+`, by: adm | other, seen: "-"},
		{path: r + "/primary", value: `[AB]|\(none\)`, by: adm | other, seen: "-"},
		{path: r + "/data-$", value: `/dev/.+`, by: adm, seen: "ab"},
		{path: r + "/device-$", value: `[a-z]+`, by: adm, seen: "ab"},
		{path: r + "/actsize-$", value: `\d+`, by: daemon | adm, seen: "ab"},
		{path: r + "/connect-$", value: `[AB]`, by: adm | other, seen: "ab"},
		{path: r + "/todo-$", value: dirRE, by: adm | daemon | other, seen: "ab"},
		{path: r + "/todo-$/(attach|connect|allow-replay|sync)", value: `[01]`, by: adm | other, seen: "ab"},
		{path: r + "/todo-$/emergency-limit", value: `\d+`, by: adm | other, seen: "a"},
		{path: r + "/syncstatus-$", value: `\d+`, by: adm | daemon, seen: "ab"},
		{path: r + "/verifystatus-$", value: `\d+,\d+`, by: daemon, seen: "b"},
		{path: r + "/syncpos-$", value: logRE + `,\d+,\d+`, by: daemon | adm, seen: "b"},
		{path: r + "/syncfrom-$", value: `[AB]`, by: daemon | adm, seen: "b"},
		{path: r + "/replay-$", value: logRE + `,\d+,\d+`, by: adm | daemon, seen: "ab"},
		{path: r + `/version-\d{9}-$`, value: headRE + `:(` + headRE + `)?`, by: adm | daemon, seen: "ab"},
		{path: r + `/log-\d{9}-$`, value: dirRE, by: adm | daemon | other, seen: "ab"}, // a file, of that origin
		{path: r + "/skip-check-$", value: `\d+`, by: adm, seen: "a"},
		{path: r + "/maxnr", value: `\d+`, by: adm | other, seen: "-"},
		{path: r + "/transferstatus-$", never: "the later releases of the original alone have it; fetching is told of by actual-$/is-copying, file_rate and logfile-update"},
		{path: r + "/userspace", value: dirRE, by: adm | daemon | other, seen: "-"},
		{path: r + "/userspace/.+", never: "for the administrator's own use, like userspace"},
		{path: r + "/defaults", value: dirRE, by: adm | daemon | other, seen: "-"},
		{path: r + "/defaults/.+", never: "for the administrator's own use; nothing is written here by itself"},
		{path: r + "/defaults-$", value: dirRE, by: adm | daemon | other, seen: "ab"},
		{path: r + "/defaults-$/.+", never: "for the administrator's own use; nothing is written here by itself"},
		{path: r + "/local-$", value: dirRE, by: adm | daemon | other, seen: "ab"},
		{path: r + "/local-$/connection-(fetch|sync)-[AB]", value: `-1|0|1`, by: daemon, seen: "b"},
		{path: r + "/actual-$", value: dirRE, by: adm | daemon | other, seen: "ab"},
	}
}

func factRows() []linkRow {
	var rows []linkRow
	for _, f := range []linkRow{
		{path: "is-(attached|primary|replaying|copying|syncing)", value: `[01]`},
		{path: "open-count", value: `\d+`},
		{path: "(replay|file|sync)_rate", value: `\d+`},
		{path: "logfile-update", value: `[01]`},
		{path: "copy-syncstatus-$", value: `[01]`},
		{path: "device-[a-z]+", value: `[01]`},
		{path: "(has|is)-emergency", value: `[01]`},
		{path: "replay-code", value: `-?\d+`},
		{path: "(disk-error|log-error|split-brain|why)", value: `.+`}, // ours
		{path: "msg-.+", never: "the later releases of the original alone have them; such things are told by disk-error, log-error, split-brain and why"},
	} {
		f.path, f.by = "resource-"+tableRes+"/actual-$/"+f.path, daemon
		if f.never == "" {
			f.seen = "ab"
		}
		rows = append(rows, f)
	}
	return rows
}

// compiledRow is a row that looks.
type compiledRow struct {
	linkRow
	name, content *regexp.Regexp
	saw           string // hosts in the names
}

func compileRows() (rows []*compiledRow) {
	for _, r := range linkTable() {
		rows = append(rows, &compiledRow{
			linkRow: r, name: regexp.MustCompile("^" + strings.Replace(strings.ReplaceAll(r.path, "$", "([AB])"), "([AB])", "(?P<host>[AB])", 1) + "$"), content: regexp.MustCompile("^(" + r.value + ")$"),
		})
	}
	return rows
}

// linkLooker compares trees with the table.
type linkLooker struct {
	t    interface{ Error(...any) }
	rows []*compiledRow
	said map[string]bool
}

// row is the line for a path, and the host that the name is about.
func (l *linkLooker) row(path string) (*compiledRow, string) {
	for _, r := range l.rows {
		if m := r.name.FindStringSubmatch(path); m != nil {
			if i := r.name.SubexpIndex("host"); i > 0 {
				return r, m[i]
			}
			return r, "-"
		}
	}
	return nil, ""
}

func (l *linkLooker) complain(format string, a ...any) {
	if text := fmt.Sprintf(format, a...); !l.said[text] {
		l.said[text] = true
		l.t.Error(text)
	}
}

// look reads all that stands in a host's /mars, whatever it is.
func (l *linkLooker) look(h *Host) map[string]string {
	all := map[string]string{}
	var walk func(dir string)
	walk = func(dir string) {
		infos, err := h.FS().ReadDir(dir)
		h.C.Must(err, "read %s", dir)
		for _, fi := range infos {
			if strings.HasPrefix(fi.Name, symtree.TempPrefix) {
				continue // being made
			}
			path := strings.TrimPrefix(dir+"/"+fi.Name, "./")
			switch fi.Kind {
			case env.KindDir:
				walk(path)
			case env.KindLink:
				fi.Value, err = h.FS().Readlink(path)
				h.C.Must(err, "read %s", path)
			}
			all[path] = fi.Value
			l.check(h.Node.Host(), path, fi)
		}
	}
	walk(".")
	return all
}

func (l *linkLooker) check(on, path string, fi env.FileInfo) {
	r, of := l.row(path)
	switch {
	case r == nil:
		l.complain("%s on %s is in no row of the table", path, on)
	case r.never != "":
		l.complain("%s on %s is written although %s", path, on, r.never)
	case fi.Kind == env.KindLink && r.value == dirRE || fi.Kind != env.KindLink && r.value != dirRE:
		l.complain("%s on %s is of another sort than the table says: %v", path, on, fi.Kind)
	case !r.content.MatchString(fi.Value):
		l.complain("%s on %s -> %q, the table says %s", path, on, fi.Value, r.value)
	case !strings.Contains(r.saw, of):
		r.saw += of
	}
}

// unseen lists rows that were not seen for all hosts that they are for.
func (l *linkLooker) unseen() (list []string) {
	for _, r := range l.rows {
		for _, h := range strings.ToUpper(r.seen) {
			if !strings.ContainsRune(r.saw, h) {
				list = append(list, fmt.Sprintf("%s of %c (seen of %q)", r.path, h, r.saw))
			}
		}
	}
	return list
}

// changed lists the paths of which one of two looks differs.
func changed(before, after map[string]string) (list []string) {
	for path, v := range after {
		if w, ok := before[path]; !ok || v != w {
			list = append(list, path)
		}
	}
	for path := range before {
		if _, ok := after[path]; !ok {
			list = append(list, path)
		}
	}
	slices.Sort(list)
	return list
}

// TestLinkTable leads two hosts through the life of a resource and compares what
// they write with the table: no link without a row, no row without a link, values
// of the right form; and nobody writes what is not his: without a marsadm only what
// is marsd's changes, and of a host that can not be reached nothing.
func TestLinkTable(t *testing.T) {
	c := unfounded(t, "A", "B")
	defer c.Close()
	c.opt.Set = []string{"show_connections=1"}
	l := &linkLooker{t: t, rows: compileRows(), said: map[string]bool{}}
	a, b := c.Host("A"), c.Host("B")
	look := func() {
		for _, h := range c.Hosts {
			l.look(h)
		}
	}
	step := func(h *Host, line string) {
		t.Helper()
		h.insist(append(strings.Fields(line), "--timeout=30")...)
		for range 8 { // also what is only there for a moment
			look()
			c.RunFor(250 * time.Millisecond)
		}
	}
	step(a, "create-cluster")
	step(b, "join-cluster A")
	for _, h := range c.Hosts {
		h.Boot()
	}
	c.Wait("the daemons", func() bool { return a.Ready && b.Ready })
	step(a, "set-link 1 /mars/userspace/own")
	step(a, "set-link 1 /mars/defaults/own --force")
	step(a, "create-resource mydata /dev/lv-x/mydata")
	c.Wait("the device", func() bool { return a.Device(tableRes) != nil })
	step(b, "join-resource mydata /dev/lv-x/mydata")
	step(a, "set-emergency-limit mydata 5")
	step(a, "log-rotate mydata")
	l.daemonsAlone(c, a, b)
	for _, line := range []string{"pause-sync mydata", "pause-replay mydata", "detach mydata", "up mydata", "invalidate mydata", "wait-resource mydata is-sync-off"} {
		step(b, line)
	}
	step(a, "secondary mydata")
	step(b, "primary mydata")
	step(b, "log-rotate mydata")
	step(b, "log-delete-all mydata")
	step(a, "delete-file /mars/userspace/own")
	step(a, "set-link 2 /mars/userspace/another")
	c.RunFor(10 * time.Second)
	for _, line := range []string{"pause-sync mydata", "pause-replay mydata", "set-replay mydata 4 --force"} {
		step(a, line)
	}
	step(b, "secondary mydata")
	for _, h := range []*Host{b, a} {
		step(h, "down mydata")
		step(h, "leave-resource mydata --force")
	}
	step(a, "delete-resource mydata --force")
	if list := l.unseen(); len(list) > 0 {
		t.Errorf("never seen:\n%s", strings.Join(list, "\n"))
	}
}

// daemonsAlone lets time pass without a marsadm, and cuts the hosts apart.
func (l *linkLooker) daemonsAlone(c *Cluster, a, b *Host) {
	write := func() {
		c.Must(a.Device(tableRes).Open(), "open")
		done := false
		a.Device(tableRes).Write(0, make([]byte, 4096), true, func(err error) { done = err == nil })
		c.Wait("a write", func() bool { return done })
		a.Device(tableRes).CloseDev()
	}
	before := map[*Host]map[string]string{a: l.look(a), b: l.look(b)}
	write()
	c.RunFor(20 * time.Second)
	for h, old := range before {
		for _, path := range changed(old, l.look(h)) {
			if r, _ := l.row(path); r != nil && r.by&daemon == 0 {
				l.complain("%s changed on %s although no marsadm ran", path, h.Node.Host())
			}
		}
	}
	c.World.Cut(a.Node, b.Node, false)
	c.RunFor(5 * time.Second)
	before = map[*Host]map[string]string{a: l.look(a), b: l.look(b)}
	write()
	for _, h := range c.Hosts {
		h.adm("pause-replay", tableRes, "--host=B", "--timeout=0")
		h.adm("resume-replay", tableRes, "--host=B", "--timeout=0")
	}
	c.RunFor(60 * time.Second)
	for h, old := range before {
		for _, path := range changed(old, l.look(h)) {
			r, of := l.row(path)
			if r != nil && r.by&other == 0 && of != "-" && of != h.Node.Host() {
				l.complain("%s changed on %s, which can not have heard of it", path, h.Node.Host())
			}
		}
	}
	c.World.HealAll()
	c.Wait("the hosts to hear of each other", c.converged)
}

// complaints takes the place of a test.
type complaints []string

func (c *complaints) Error(a ...any) { *c = append(*c, fmt.Sprint(a...)) }

// TestLinkTableComplains is the negative control of TestLinkTable.
func TestLinkTableComplains(t *testing.T) {
	for _, c := range []struct {
		path, value string
		kind        env.FileKind
		want        string
	}{
		{"resource-mydata/size", "4096", env.KindLink, ""},
		{"resource-mydata/size", "4 KiB", env.KindLink, "the table says"},
		{"resource-mydata/size", "", env.KindDir, "another sort"},
		{"resource-mydata/actual-A", "x", env.KindLink, "another sort"},
		{"resource-mydata/actual-A/is-prime", "1", env.KindLink, "in no row"},
		{"resource-mydata/replay-A", "log-000000001-A,5", env.KindLink, "the table says"},
		{"resource-mydata/transferstatus-A", "on", env.KindLink, "is written although"},
	} {
		var got complaints
		l := &linkLooker{t: &got, rows: compileRows(), said: map[string]bool{}}
		l.check("A", c.path, env.FileInfo{Kind: c.kind, Value: c.value})
		if len(got) != len(c.want[:min(1, len(c.want))]) || c.want != "" && !strings.Contains(got[0], c.want) {
			t.Errorf("%s -> %q: %q, want %q", c.path, c.value, got, c.want)
		}
	}
	l := &linkLooker{t: &complaints{}, rows: compileRows(), said: map[string]bool{}}
	all := len(l.unseen())
	l.check("A", "resource-mydata/actual-A/why", env.FileInfo{Kind: env.KindLink, Value: "(none)"})
	if now := l.unseen(); all == 0 || len(now) != all-1 || !slices.Contains(now, `resource-mydata/actual-$/(disk-error|log-error|split-brain|why) of B (seen of "A")`) {
		t.Errorf("%d rows were unseen, now %q", all, now)
	}
}

// TestLinkTableIsThePage: mars-symlinks(7) has all that the table has.
func TestLinkTableIsThePage(t *testing.T) {
	page := symlinksPage(t)
	for _, r := range linkTable() {
		if r.never != "" {
			continue
		}
		for _, name := range pageNames(r.path) {
			if !regexp.MustCompile(`(^|[^A-Za-z0-9-])` + regexp.QuoteMeta(name)).MatchString(page) {
				t.Errorf("%s (row %s) is not in mars-symlinks(7)", name, r.path)
			}
		}
	}
}

// pageNames are the names as they stand on the page: the paths, and keys alone.
func pageNames(pattern string) (list []string) {
	path := strings.NewReplacer("resource-"+tableRes, "resource-RES", `delete-\d{9}-$`, "delete-N[-HOST]", `\d{9}`, "N", "$", "HOST", `(.+/)?\.`, ".", "[^/]+", "NAME", "/.+", "/", "/[a-z-]+", "/", "[a-z]+", "NAME", "-[AB]", "-PEER").Replace(pattern)
	if dir, key, ok := strings.Cut(path, "-HOST/"); ok && (strings.HasSuffix(dir, "/actual") || strings.HasSuffix(dir, "/todo") || strings.HasSuffix(dir, "/local")) {
		path = key
	}
	pre, rest, ok := strings.Cut(path, "(")
	if !ok {
		return []string{path}
	}
	in, post, _ := strings.Cut(rest, ")")
	for x := range strings.SplitSeq(in, "|") {
		list = append(list, pre+x+post)
	}
	return list
}

func symlinksPage(t *testing.T) string {
	c := unfounded(t, "A")
	defer c.Close()
	ok, page := c.Host("A").try("man", "mars-symlinks")
	if !ok {
		t.Fatal(page)
	}
	return strings.NewReplacer(`\-`, "-", `\.`, ".", `\&`, "", `\e`, `\`).Replace(page)
}

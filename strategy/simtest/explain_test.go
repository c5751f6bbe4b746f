package simtest

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"mars/infra/symtree"
)

// explainTrouble is something that stands in the way of the resource of a rig, and what
// explain is to lead to.
type explainTrouble struct {
	name  string
	on    string // the host on which explain is asked
	make  func(r *explainRig)
	fact  string              // in the last fact
	next  string              // the command, with the host where it is another one
	helps func(r *explainRig) // what the fact tells to be done besides; nil: nothing
}

// explainRig is A, primary, and B, a member; C is in the cluster only.
type explainRig struct {
	c       *Cluster
	a, b, x *Host
	n       byte
}

const explained = "mydata"

func newExplainRig(t *testing.T) *explainRig {
	c := unfounded(t, "A", "B", "C")
	r := &explainRig{c: c, a: c.Host("A"), b: c.Host("B"), x: c.Host("C")}
	for _, h := range c.Hosts {
		h.SetSpace(bigMars, 32*gib)
	}
	r.a.adm("create-cluster")
	r.b.adm("join-cluster", "A")
	r.x.adm("join-cluster", "A")
	for _, h := range c.Hosts {
		h.Boot()
	}
	c.Wait("the daemons", func() bool { return r.a.Ready && r.b.Ready && r.x.Ready })
	r.a.insist("create-resource", explained, "/dev/lv-x/mydata")
	c.Wait("the device", func() bool { return r.a.Device(explained) != nil })
	r.b.insist("join-resource", explained, "/dev/lv-x/mydata", "--timeout=30")
	r.a.insist("wait-cluster")
	r.write(r.a)
	c.Wait("B to be level", func() bool { return r.says(r.b, "is up to date") && r.says(r.a, "nothing stands in the way") })
	return r
}

// write writes something new to the device of a host.
func (r *explainRig) write(h *Host) {
	r.n++
	d, done := h.Device(explained), false
	r.c.Must(d.Open(), "open")
	d.Write(0, bytes.Repeat([]byte{r.n}, 4096), true, func(err error) {
		r.c.Must(err, "write")
		done = true
	})
	r.c.Wait("the write", func() bool { return done })
	d.CloseDev()
}

// explain is what a host says: the last fact, and the next command with the host
// where it is to be typed.
func (r *explainRig) explain(h *Host) (fact, next string) {
	ok, out := h.try("explain", explained)
	if !ok {
		r.c.Fatalf("explain: %s", out)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if next = lines[len(lines)-1]; next == "Nothing to do." {
		next = ""
	}
	return strings.TrimSpace(lines[len(lines)-2]), next
}

func (r *explainRig) says(h *Host, text string) bool {
	fact, _ := r.explain(h)
	return strings.Contains(fact, text)
}

// obey types what was said. A command that waits for something may do so while
// helps happens.
func (r *explainRig) obey(h *Host, next string, helps func(r *explainRig)) {
	m := regexp.MustCompile(`^Next(?: on host (\S+))?: (marsadm|marsd) (.+)$`).FindStringSubmatch(next)
	if m == nil {
		r.c.Fatalf("%q is no command", next)
	}
	if m[1] != "" {
		h = r.c.Host(m[1])
	}
	if m[2] == "marsd" {
		h.Restart()
		return
	}
	words := strings.Fields(strings.ReplaceAll(m[3], "DISK", "/dev/lv-x/mydata"))
	cmd := h.start(append(words, "--timeout=60")...)
	if helps != nil {
		r.c.RunFor(time.Second)
		helps(r)
	}
	r.c.WaitFor(cmd.line, time.Hour, cmd.Done)
	answered := words[0] == "show-errors" && strings.Contains(cmd.output(), "has some (old) problems") // that is what it is to tell
	if cmd.status != 0 && !answered {
		r.c.Fatalf("%s is refused:\n%s", cmd.line, cmd.output())
	}
}

// plainTroubles are what an administrator meets.
func plainTroubles() []explainTrouble {
	link := func(key string) string { return "resource-" + explained + "/" + key }
	adm := func(host string, words ...string) func(r *explainRig) {
		return func(r *explainRig) { r.c.Host(host).insist(append(words, "--timeout=30")...) }
	}
	behind := func(words ...string) func(r *explainRig) { // and A goes on
		return func(r *explainRig) {
			adm("B", words...)(r)
			r.c.RunFor(time.Second) // the command does not wait until replay has stopped
			r.write(r.a)
		}
	}
	return []explainTrouble{
		{name: "no daemon", on: "B", make: func(r *explainRig) { r.b.Stop() }, fact: "no marsd is running", next: "Next: marsd run"},
		{name: "no member", on: "C", make: func(r *explainRig) {
			r.c.Wait("C to know the resource", func() bool { return r.x.Link(link("size")) != "" })
		}, fact: "has not joined", next: "Next: marsadm join-resource mydata DISK"},
		{name: "not attached", on: "B", make: adm("B", "down", explained), fact: "is detached, by its switch", next: "Next: marsadm attach mydata"},
		{name: "replay paused", on: "B", make: behind("pause-replay", explained), fact: "replay is paused", next: "Next: marsadm resume-replay mydata"},
		{name: "replay paused, level", on: "B", make: adm("B", "pause-replay", explained), fact: "replay is switched off", next: "Next: marsadm resume-replay mydata"},
		{name: "disconnected", on: "B", make: adm("B", "disconnect", explained), fact: "fetching is switched off", next: "Next: marsadm connect mydata"},
		{name: "sync paused", on: "B", make: func(r *explainRig) {
			adm("B", "pause-sync", explained)(r)
			adm("B", "invalidate", explained, "--force")(r)
			adm("B", "pause-sync", explained)(r)
		}, fact: "the sync is paused", next: "Next: marsadm resume-sync mydata"},
		{name: "peer paused", on: "A", make: behind("pause-replay", explained), fact: "member B is behind and paused", next: "Next on host B: marsadm up mydata"},
		{name: "peer detached", on: "A", make: behind("down", explained), fact: "its disk is detached", next: "Next on host B: marsadm up mydata"},
		{name: "peer down", on: "A", make: func(r *explainRig) {
			r.b.Stop()
			r.c.Wait("A to hear of it", func() bool { return r.a.Link(symtree.AlivePath("B")) == "0" })
			r.write(r.a)
		}, fact: "its marsd is down", next: "Next on host B: marsd run"},
		{name: "peer dead", on: "A", make: func(r *explainRig) {
			r.b.Kill()
			r.write(r.a)
			r.c.RunFor(2 * time.Minute)
		}, fact: "nothing has been heard of B", next: "Next on host B: marsadm explain mydata", helps: func(r *explainRig) { r.b.Restart() }},
		{name: "primary dead", on: "B", make: func(r *explainRig) {
			r.a.Kill()
			r.c.RunFor(2 * time.Minute)
		}, fact: "nothing has been heard of A", next: "Next on host A: marsadm explain mydata", helps: func(r *explainRig) { r.a.Restart() }},
		{name: "primary down", on: "B", make: func(r *explainRig) {
			r.a.Stop()
			r.c.Wait("B to hear of it", func() bool { return r.b.Link(symtree.AlivePath("A")) == "0" })
		}, fact: "marsd on A is down", next: "Next on host A: marsd run"},
		{name: "no primary", on: "B", make: func(r *explainRig) {
			adm("A", "secondary", explained)(r)
			r.c.Wait("B to hear of it", func() bool { return r.b.Link(link("primary")) == symtree.None })
		}, fact: "no primary is designated", next: "Next on host A: marsadm primary mydata"},
		{name: "device in use", on: "A", make: func(r *explainRig) {
			r.c.Must(r.a.Device(explained).Open(), "open")
			r.c.Wait("A to say so", func() bool { return r.a.Link(link("actual-A/open-count")) == "1" })
			r.b.adm("primary", explained, "--force", "--timeout=0")
			r.c.Wait("A to hear of it", func() bool { return r.a.Link(link("primary")) == "B" })
		}, fact: "umount it", next: "Next: marsadm wait-umount mydata", helps: func(r *explainRig) { r.a.Device(explained).CloseDev() }},
	}
}

// maxSteps is how many commands may lead out of a trouble.
const maxSteps = 4

// TestExplainLeadsOut: whatever the trouble is, the command that explain ends with
// is not refused, and changes what explain says; and who goes on like that comes to
// where nothing is to be done.
func TestExplainLeadsOut(t *testing.T) {
	for _, x := range append(plainTroubles(), badTroubles()...) {
		t.Run(strings.ReplaceAll(x.name, " ", "-"), func(t *testing.T) {
			r := newExplainRig(t)
			defer r.c.Close()
			x.make(r)
			r.leadOut(t, &x)
		})
	}
}

func (r *explainRig) leadOut(t *testing.T, x *explainTrouble) {
	h := r.c.Host(x.on)
	var fact, next string
	for range 60 {
		if fact, next = r.explain(h); strings.Contains(fact, x.fact) {
			break
		}
		r.c.RunFor(time.Second)
	}
	if !strings.Contains(fact, x.fact) || next != x.next {
		t.Fatalf("%s\n%s\nexpected %s, %s", fact, next, x.fact, x.next)
	}
	r.obey(h, next, x.helps)
	r.c.Wait("explain to say something else than "+fact, func() bool { return !r.says(h, x.fact) })
	said := []string{fact, next}
	for range maxSteps {
		r.c.RunFor(10 * time.Second) // what is on its way comes to its end
		fact, next = r.explain(h)
		said = append(said, fact, next)
		if next == "" {
			t.Log(strings.Join(said, " -> "))
			return
		}
		r.obey(h, next, nil)
	}
	t.Errorf("explain does not lead out:\n%s", strings.Join(said, "\n"))
}

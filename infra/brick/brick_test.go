package brick

import (
	"errors"
	"strings"
	"testing"
)

var (
	sourceType = &Type{Name: "source", Outputs: 1}
	midType    = &Type{Name: "mid", Inputs: 2, Outputs: 1}
	sinkType   = &Type{Name: "sink", Inputs: 1}
)

// lazy is a worker that reaches its state only when told.
type lazy struct {
	b     *Brick
	quick bool
	calls int
}

func (l *lazy) Switch(on bool) {
	l.calls++
	if l.quick {
		l.reach()
	}
}

func (l *lazy) reach() {
	on := l.b.Button()
	l.b.SetOff(false)
	l.b.SetOn(on)
	l.b.SetOff(!on)
}

func add(t *testing.T, g *Graph, typ *Type, path string, quick bool) *lazy {
	t.Helper()
	l := &lazy{quick: quick}
	b, err := g.Add(typ, path, path, l)
	if err != nil {
		t.Fatal(err)
	}
	l.b = b
	return l
}

func TestConnectRules(t *testing.T) {
	var g Graph
	a, b := add(t, &g, sourceType, "a", true), add(t, &g, midType, "b", true)
	if err := Connect(b.b.Input(0), a.b.Output(0)); err != nil {
		t.Fatal(err)
	}
	if err := Connect(b.b.Input(0), a.b.Output(0)); !errors.Is(err, ErrConnected) {
		t.Errorf("connecting a connected input: %v", err)
	}
	if err := Connect(b.b.Input(1), b.b.Output(0)); !errors.Is(err, ErrSelf) {
		t.Errorf("connecting a brick to itself: %v", err)
	}
	if err := Connect(b.b.Input(1), a.b.Output(0)); err != nil {
		t.Errorf("an output serves any number of inputs: %v", err)
	}
	if n := a.b.Output(0).Connected(); n != 2 {
		t.Errorf("output counts %d wires, want 2", n)
	}
	Disconnect(b.b.Input(0))
	Disconnect(b.b.Input(0))
	if n := a.b.Output(0).Connected(); n != 1 || b.b.Input(0).Peer() != nil {
		t.Errorf("after disconnecting twice: %d wires, peer %v", n, b.b.Input(0).Peer())
	}
}

func TestPowerRules(t *testing.T) {
	var g Graph
	a, b := add(t, &g, sourceType, "a", true), add(t, &g, sinkType, "b", true)
	if err := Connect(b.b.Input(0), a.b.Output(0)); err != nil {
		t.Fatal(err)
	}
	if a.b.On() || !a.b.Off() {
		t.Error("a new brick is not off")
	}
	if err := b.b.Press(true); !errors.Is(err, ErrPredecessor) {
		t.Errorf("switching on above a brick that is off: %v", err)
	}
	for _, l := range []*lazy{a, b} {
		if err := l.b.Press(true); err != nil || !l.b.On() {
			t.Fatalf("switch on %v: %v", l.b, err)
		}
	}
	if err := a.b.Press(false); !errors.Is(err, ErrConsumer) {
		t.Errorf("switching off below a brick that is on: %v", err)
	}
	if err := b.b.Press(false); err != nil {
		t.Fatal(err)
	}
	if err := a.b.Press(false); err != nil {
		t.Errorf("switching off below a brick that is off: %v", err)
	}
	a.b.ForceOff()
	if err := a.b.Press(true); !errors.Is(err, ErrForcedOff) {
		t.Errorf("switching on what was forced off: %v", err)
	}
}

func TestSlowSwitchAndLEDs(t *testing.T) {
	var g Graph
	a := add(t, &g, sourceType, "a", false)
	changes := 0
	a.b.OnLED(func() { changes++ })
	if err := a.b.Press(true); err != nil {
		t.Fatal(err)
	}
	if a.b.On() || !a.b.Off() || !a.b.Button() {
		t.Error("LEDs moved before the brick said so")
	}
	a.b.SetOff(false)
	if a.b.On() || a.b.Off() {
		t.Error("starting must show no LED")
	}
	if err := a.b.Press(true); err != nil || a.calls != 2 {
		t.Errorf("pressing again: %v, %d calls of Switch, want 2", err, a.calls)
	}
	a.b.SetOn(true)
	if !a.b.On() || changes != 2 {
		t.Errorf("on=%v after %d changes, want 2", a.b.On(), changes)
	}
}

func TestGraph(t *testing.T) {
	var g Graph
	a, b, c := add(t, &g, sourceType, "a", true), add(t, &g, midType, "b", true), add(t, &g, sinkType, "c", true)
	if _, err := g.Add(sinkType, "x", "c", c); !errors.Is(err, ErrPathTaken) {
		t.Errorf("adding a taken path: %v", err)
	}
	for _, err := range []error{Connect(b.b.Input(0), a.b.Output(0)), Connect(c.b.Input(0), b.b.Output(0))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !g.SwitchAll(true) || !c.b.On() {
		t.Fatal("SwitchAll(true) did not reach everything")
	}
	var list, dot strings.Builder
	if err := errors.Join(g.List(&list), g.DOT(&dot)); err != nil {
		t.Fatal(err)
	}
	if want := "brick type='mid' button=1 off=0 on=1 path='b' inputs='0=a'\n"; !strings.Contains(list.String(), want) {
		t.Errorf("listing lacks %q:\n%s", want, list.String())
	}
	if want := `"c" -> "b" [label="0"];`; !strings.Contains(dot.String(), want) {
		t.Errorf("DOT lacks %q:\n%s", want, dot.String())
	}
	if err := g.Remove(b.b); !errors.Is(err, ErrNotOff) {
		t.Errorf("removing a brick that is on: %v", err)
	}
	if !g.SwitchAll(false) || !a.b.Off() {
		t.Fatal("SwitchAll(false) did not reach everything")
	}
	if err := g.Remove(b.b); !errors.Is(err, ErrConnected) {
		t.Errorf("removing a brick that others use: %v", err)
	}
	for _, l := range []*lazy{c, b, a} {
		if err := g.Remove(l.b); err != nil {
			t.Errorf("remove %v: %v", l.b, err)
		}
	}
	if n := len(g.Bricks()); n != 0 {
		t.Errorf("%d bricks left", n)
	}
}

func TestAspects(t *testing.T) {
	var g Graph
	a, b := add(t, &g, sourceType, "a", true), add(t, &g, sourceType, "b", true)
	type mine struct{ n int }
	var o Object
	AspectOf[mine](&o, a.b).n = 1
	AspectOf[mine](&o, b.b).n = 2
	if x, y := AspectOf[mine](&o, a.b).n, AspectOf[mine](&o, b.b).n; x != 1 || y != 2 {
		t.Errorf("aspects mixed up: %d and %d", x, y)
	}
	if n := testing.AllocsPerRun(100, func() { AspectOf[mine](&o, b.b).n++ }); n != 0 {
		t.Errorf("finding an aspect allocates %v times", n)
	}
	o.DropAspects()
	if AspectOf[mine](&o, a.b).n != 0 {
		t.Error("a dropped aspect came back")
	}
}

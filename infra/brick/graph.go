package brick

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Graph is the set of bricks of one executor's resource (or of a test).
// The zero value is an empty graph.
type Graph struct {
	bricks []*Brick // in order of creation
}

// Add makes a brick of type t at path, switched off, with worker as its code.
// A taken path is a bug of the caller unless strategy asks with Find first.
func (g *Graph) Add(t *Type, name, path string, worker Worker) (*Brick, error) {
	if g.Find(path) != nil {
		return nil, fmt.Errorf("new %s brick %q: %w", t.Name, path, ErrPathTaken)
	}
	b := &Brick{Type: t, Name: name, Path: path, graph: g, worker: worker, ledOff: true}
	b.inputs = make([]Input, t.Inputs)
	for i := range b.inputs {
		b.inputs[i] = Input{Brick: b, Index: i}
	}
	b.outputs = make([]Output, t.Outputs)
	for i := range b.outputs {
		b.outputs[i] = Output{Brick: b, Index: i}
	}
	g.bricks = append(g.bricks, b)
	return b, nil
}

// Find returns the brick of that path, or nil.
func (g *Graph) Find(path string) *Brick {
	for _, b := range g.bricks {
		if b.Path == path {
			return b
		}
	}
	return nil
}

// Bricks lists all bricks in order of their creation.
func (g *Graph) Bricks() []*Brick { return slices.Clone(g.bricks) }

// Remove takes a brick out of the graph: it must be off and its outputs
// unconnected; its inputs are disconnected.
func (g *Graph) Remove(b *Brick) error {
	if !b.ledOff {
		return fmt.Errorf("remove %v: %w", b, ErrNotOff)
	}
	for i := range b.outputs {
		if n := len(b.outputs[i].wires); n > 0 {
			return fmt.Errorf("remove %v: %w (output %d serves %d)", b, ErrConnected, i, n)
		}
	}
	for i := range b.inputs {
		Disconnect(&b.inputs[i])
	}
	g.bricks = slices.DeleteFunc(g.bricks, func(x *Brick) bool { return x == b })
	b.graph, b.forcedOff = nil, true
	return nil
}

// SwitchAll presses every button: on from predecessors to consumers, off the
// other way round. Bricks that must wait for others (their LEDs change later)
// are reported as false; call it again then.
func (g *Graph) SwitchAll(on bool) (done bool) {
	list := slices.Clone(g.bricks)
	if !on {
		slices.Reverse(list)
	}
	done = true
	for _, b := range list {
		if err := b.Press(on); err != nil || b.ledOn != on || b.ledOff == on {
			done = false
		}
	}
	return done
}

// List writes one line a brick, the format of the manual's /proc/sys/mars/info:
// type, button, LEDs, path and what the inputs are connected to.
func (g *Graph) List(w io.Writer) error {
	for _, b := range g.bricks {
		var in []string
		for i := range b.inputs {
			if p := b.inputs[i].peer; p != nil {
				in = append(in, fmt.Sprintf("%d=%s", i, p.Brick.Path))
			}
		}
		_, err := fmt.Fprintf(w, "brick type='%s' button=%d off=%d on=%d path='%s' inputs='%s'\n",
			b.Type.Name, bit(b.button), bit(b.ledOff), bit(b.ledOn), b.Path, strings.Join(in, " "))
		if err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "SUMMARY: brick_count=%d\n", len(g.bricks))
	return err
}

// DOT writes the graph for Graphviz: arrows go the way requests go.
func (g *Graph) DOT(w io.Writer) error {
	var sb strings.Builder
	sb.WriteString("digraph mars {\n\trankdir=LR;\n\tnode [shape=box];\n")
	for _, b := range g.bricks {
		style := "dashed"
		if b.ledOn {
			style = "solid"
		}
		fmt.Fprintf(&sb, "\t%q [label=%q style=%s];\n", b.Path, b.Type.Name+"\n"+b.Name, style)
	}
	for _, b := range g.bricks {
		for i := range b.inputs {
			if p := b.inputs[i].peer; p != nil {
				fmt.Fprintf(&sb, "\t%q -> %q [label=%q];\n", b.Path, p.Brick.Path, fmt.Sprint(i))
			}
		}
	}
	sb.WriteString("}\n")
	_, err := io.WriteString(w, sb.String())
	return err
}

func bit(v bool) int {
	if v {
		return 1
	}
	return 0
}

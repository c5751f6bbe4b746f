package brick

import (
	"errors"
	"fmt"
)

// Errors of wiring and switching. They are wrapped with the names of the bricks.
var (
	ErrConnected    = errors.New("input is connected already")
	ErrSelf         = errors.New("both ends belong to the same brick")
	ErrNoSuchPort   = errors.New("no such input or output")
	ErrNotConnected = errors.New("input is not connected")
	ErrPredecessor  = errors.New("predecessor is not switched on")
	ErrConsumer     = errors.New("a consumer is still switched on")
	ErrForcedOff    = errors.New("forced off for good")
	ErrNotOff       = errors.New("brick is not off")
	ErrPathTaken    = errors.New("a brick of that path exists")
)

// Type describes a kind of brick. Types are constants of their packages.
type Type struct {
	Name    string // the manual's name: "if", "trans_logger", "aio", ...
	Inputs  int    // number of inputs
	Outputs int    // number of outputs
}

// Worker is the code of a brick instance.
type Worker interface {
	// Switch starts to bring the brick to the state of the button, which has
	// been pressed before the call. It returns at once, may be called again
	// at any time (also with nothing to do), and lights the LEDs through
	// Brick.SetOn and Brick.SetOff when the state is reached.
	Switch(on bool)
}

// Brick is one instance: its place in the graph, its ports and its power.
// Worker bricks embed a *Brick.
type Brick struct {
	Type   *Type
	Name   string // short, for people
	Path   string // identity within the graph
	graph  *Graph
	worker Worker

	inputs  []Input
	outputs []Output

	button, ledOn, ledOff, forcedOff bool
	onLED                            []func()
}

// Input is one end of a wire: the consumer's.
type Input struct {
	Brick *Brick
	Index int
	peer  *Output
}

// Output is the producer's end of any number of wires.
type Output struct {
	Brick *Brick
	Index int
	// Ops are the operations of this output, of the kind the layer above
	// agrees on (block.Ops). Set once by the brick when it is made.
	Ops   any
	wires []*Input
}

// Input returns input i; a bad index is a bug of the caller.
func (b *Brick) Input(i int) *Input { return &b.inputs[i] }

// Output returns output i; a bad index is a bug of the caller.
func (b *Brick) Output(i int) *Output { return &b.outputs[i] }

// Inputs and Outputs tell the number of ports.
func (b *Brick) Inputs() int  { return len(b.inputs) }
func (b *Brick) Outputs() int { return len(b.outputs) }

// String is "type:path".
func (b *Brick) String() string { return b.Type.Name + ":" + b.Path }

// Peer is the output that the input is connected to, or nil.
func (in *Input) Peer() *Output { return in.peer }

// Connected is the number of inputs connected to the output.
func (out *Output) Connected() int { return len(out.wires) }

// Connect wires in to out. It fails if in is connected, or both belong to the
// same brick. Wiring is for strategy alone.
func Connect(in *Input, out *Output) error {
	switch {
	case in.peer != nil:
		return fmt.Errorf("connect input %d of %v to %v: %w (to %v)", in.Index, in.Brick, out.Brick, ErrConnected, in.peer.Brick)
	case in.Brick == out.Brick:
		return fmt.Errorf("connect input %d of %v: %w", in.Index, in.Brick, ErrSelf)
	}
	in.peer = out
	out.wires = append(out.wires, in)
	return nil
}

// Disconnect cuts the wire of an input. Doing it twice is harmless.
func Disconnect(in *Input) {
	out := in.peer
	if out == nil {
		return
	}
	in.peer = nil
	for i, w := range out.wires {
		if w == in {
			out.wires = append(out.wires[:i], out.wires[i+1:]...)
			return
		}
	}
	panic(fmt.Sprintf("brick: wire of input %d of %v is not known to %v", in.Index, in.Brick, out.Brick))
}

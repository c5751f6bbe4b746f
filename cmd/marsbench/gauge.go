package main

import (
	"mars/infra/block"
	"mars/infra/brick"
)

var gaugeType = brick.Type{Name: "gauge", Inputs: 1, Outputs: 1}

// gauge is a brick between logger and log file that passes everything on and
// counts the batches which end behind the end of the file: each of them costs
// a change of metadata before it is durable.
type gauge struct {
	*brick.Brick
	large int64 // batches from this size on may let the file grow

	batches int64 // small ones
	grown   int64 // of those, the ones that let the file grow
}

func newGauge(g *brick.Graph, path string, large int64) (*gauge, error) {
	w := &gauge{large: large}
	b, err := g.Add(&gaugeType, path, path, w)
	if err != nil {
		return nil, err
	}
	w.Brick = b
	b.Output(0).Ops = (*gaugeOps)(w)
	return w, nil
}

// Switch implements brick.Worker.
func (w *gauge) Switch(on bool) { w.SetOn(on); w.SetOff(!on) }

// gaugeOps is the output's side.
type gaugeOps gauge

func (o *gaugeOps) below() block.Ops { return block.OpsOf((*gauge)(o).Input(0)) }

func (o *gaugeOps) Info() block.Info        { return o.below().Info() }
func (o *gaugeOps) Get(m *block.Mref) error { return o.below().Get(m) }
func (o *gaugeOps) Put(m *block.Mref)       { o.below().Put(m) }

// IO passes the request on. Batches are durable writes, zeroing is not.
func (o *gaugeOps) IO(m *block.Mref) {
	if m.Op == block.Write && m.FUA && m.Len < o.large {
		o.batches++
		if m.Pos+m.Len > o.below().Info().Size {
			o.grown++
		}
	}
	o.below().IO(m)
}

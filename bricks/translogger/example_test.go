package translogger_test

import (
	"fmt"
	"time"

	"mars/bricks/aio"
	"mars/bricks/check"
	"mars/bricks/translogger"
	"mars/infra/block"
	"mars/infra/brick"
	"mars/infra/env"
	"mars/infra/env/simenv"
	"mars/infra/translog"
)

// Composing a graph: a logger on a simulated disk and logfile, with a checker
// between the logger and the disk. One write goes through it.
func Example() {
	w := simenv.New(1, simenv.Options{})
	defer w.Close()
	node := w.AddNode("a", "10.0.0.1", simenv.NodeOptions{})
	node.AddDisk("/dev/d", 1<<20)
	e := node.Env(0)

	var g brick.Graph
	disk, _ := aio.NewDisk(&g, e, "disk", "/dev/d")
	log, _ := aio.NewFile(&g, e, "log", "log", env.OpenMode{Create: true, Write: true})
	chk, _ := check.New(&g, "check", check.Options{NoOverlap: true}, func(bug string) { fmt.Println("bug:", bug) })
	tl, _ := translogger.New(&g, e, "logger", translogger.Config{
		Now: func() translog.Stamp { return translog.Stamp{} }, Tuning: translogger.DefaultTuning(),
	})
	_ = brick.Connect(chk.Input(0), disk.Output(0))
	_ = brick.Connect(tl.Input(translogger.InputDisk), chk.Output(0))
	_ = brick.Connect(tl.Input(translogger.InputLog1), log.Output(0))
	_ = w.Run(func() bool { g.SwitchAll(true); return log.On() }, time.Second)
	_ = tl.StartLog(translogger.InputLog1, translog.Identity{Resource: "r", Number: 1, Origin: "a", Nonce: [16]byte{1}}) // an empty, open log
	_ = w.Run(func() bool { return g.SwitchAll(true) }, time.Second)

	user, _ := g.Add(&brick.Type{Name: "user", Inputs: 1}, "user", "user", idle{})
	_ = brick.Connect(user.Input(0), tl.Output(0))
	m := &block.Mref{Op: block.Write, Pos: 4096, Len: 512, Data: make([]byte, 512)}
	done := false
	block.Start(user.Input(0), m, block.CompletionFunc(func(_ *block.Mref, err error) {
		fmt.Println("error:", err, "durable in the log:", tl.DurableEnd() > 0)
		done = true
	}))
	_ = w.Run(func() bool { return done }, time.Second)
	// Output: error: <nil> durable in the log: true
}

// idle is the worker of a brick that only calls others.
type idle struct{}

func (idle) Switch(bool) {}

package simenv_test

import (
	"fmt"
	"time"

	"mars/infra/env"
	"mars/infra/env/simenv"
)

// A write that was not synced may be gone after a power cut; one that was is not.
func Example() {
	w := simenv.New(1, simenv.Options{})
	defer w.Close()
	n := w.AddNode("a", "10.0.0.1", simenv.NodeOptions{})
	n.AddDisk("/dev/vdb", 1<<20)

	synced := false
	e := n.Env(0)
	e.Files().OpenDisk("/dev/vdb", func(f env.File, err error) {
		buf := e.Alloc(4096)
		copy(buf, "precious")
		sync := &env.IO{Kind: env.Sync, Done: func(io *env.IO) { synced = io.Err == nil }}
		f.Submit(&env.IO{Kind: env.Write, Buf: buf, Done: func(io *env.IO) { f.Submit(sync) }})
	})
	if err := w.Run(func() bool { return synced }, time.Second); err != nil {
		fmt.Println(err)
	}
	n.Crash(simenv.Zero())
	n.Start()

	got := make([]byte, 8)
	_, err := n.Disk("/dev/vdb").ReadAt(got, 0)
	fmt.Println(string(got), err)
	// Output: precious <nil>
}

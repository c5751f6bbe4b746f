// SPDX-License-Identifier: GPL-2.0-or-later

package guest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

const (
	linearClients = 8
	linearOps     = 250 // of each client
	linearSectors = 64
	linearMax     = 16 // sectors an operation touches at most
)

// sectorOp is what a client did to one sector: value 0 is a read.
type sectorOp struct{ sector, value uint64 }

// sectorModel says that each sector is a register of its own.
var sectorModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, linearSectors)
		for _, op := range history {
			i := op.Input.(sectorOp).sector
			parts[i] = append(parts[i], op)
		}
		return parts
	},
	Init: func() any { return uint64(0) },
	Step: func(state, input, output any) (bool, any) {
		if w := input.(sectorOp).value; w != 0 {
			return true, w
		}
		return output == state, state
	},
	DescribeOperation: func(input, output any) string {
		if w := input.(sectorOp).value; w != 0 {
			return fmt.Sprintf("write %d", w)
		}
		return fmt.Sprintf("read %d", output)
	},
}

// TestLinear: clients read and write ranges that overlap, at the same time, and
// every sector behaves as if one operation came after the other.
func TestLinear(t *testing.T) {
	if !inGuest(t, "io") {
		return
	}
	s := newStage(t)
	s.cluster("/dev/vda", "/dev/vdb")
	s.resource("linear", "/dev/vdb", "")
	a := s.hosts[0]
	dev := openDev(t, a.device("linear"))
	buf := alignedBuf(t, linearSectors*sector)
	if err := dev.write(buf, 0); err != nil {
		t.Fatal(err)
	}
	history := runClients(t, dev)
	dev.close(t)
	checkLinear(t, history, porcupine.Ok)
	reads := 0
	for i, op := range history {
		if op.Input.(sectorOp).value != 0 {
			continue
		}
		if reads++; reads == 100 { // the control: one read that saw a value nobody wrote
			history[i].Output = uint64(1 << 60)
		}
	}
	if reads < 100 {
		t.Fatalf("only %d reads", reads)
	}
	checkLinear(t, history, porcupine.Illegal)
	a.stop()
	s.dmesgClean()
	s.nothingLeft()
	result(t, "linear", "%d clients, %d operations on overlapping ranges, %d sector operations linearizable", linearClients, linearClients*linearOps, len(history))
}

func checkLinear(t *testing.T, history []porcupine.Operation, want porcupine.CheckResult) {
	t.Helper()
	if got := porcupine.CheckOperationsTimeout(sectorModel, history, time.Minute); got != want {
		t.Errorf("the history is %s, want %s", got, want)
	}
}

// runClients lets the clients work and returns what they did.
func runClients(t *testing.T, dev *blockDev) []porcupine.Operation {
	t.Helper()
	var mu sync.Mutex
	var all []porcupine.Operation
	var failed error
	begin := time.Now()
	var wg sync.WaitGroup
	for id := range linearClients {
		buf := alignedBuf(t, linearMax*sector)
		wg.Go(func() {
			list, err := oneClient(dev, buf, id, begin)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, list...)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	if failed != nil {
		t.Fatal(failed)
	}
	return all
}

// oneClient does its operations; each write has a number of its own.
func oneClient(dev *blockDev, buf []byte, id int, begin time.Time) ([]porcupine.Operation, error) {
	rng := rand.New(rand.NewPCG(uint64(id), 7))
	var list []porcupine.Operation
	for i := range linearOps {
		n := 1 + rng.IntN(linearMax)
		first := rng.IntN(linearSectors - n + 1)
		value := uint64(0)
		part := buf[:n*sector]
		if rng.IntN(2) == 0 {
			value = uint64(id*linearOps + i + 1)
			for j := range n {
				binary.LittleEndian.PutUint64(part[j*sector:], value)
			}
		}
		call := time.Since(begin).Nanoseconds()
		err := error(nil)
		if value != 0 {
			err = dev.write(part, int64(first)*sector)
		} else {
			err = dev.read(part, int64(first)*sector)
		}
		back := time.Since(begin).Nanoseconds()
		if err != nil {
			return list, err
		}
		for j := range n {
			list = append(list, porcupine.Operation{ClientId: id, Call: call, Return: back,
				Input: sectorOp{uint64(first + j), value}, Output: binary.LittleEndian.Uint64(part[j*sector:])})
		}
	}
	return list, nil
}

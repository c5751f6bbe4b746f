package strategy

import (
	"time"

	"mars/infra/measure"
)

// limits are what all resources of a node share.
type limits struct {
	traffic measure.Limiter // data received from peers
	server  measure.Limiter // data read on behalf of peers
}

func (w *worker) throttleTraffic(n int64) time.Duration {
	return w.limits.traffic.Take(w.env.Mono(), n, w.tunables.TrafficLimitBytes())
}

func (w *worker) throttleServer(n int64) time.Duration {
	return w.limits.server.Take(w.env.Mono(), n, w.tunables.ServerIOLimitBytes())
}

// Bounds of one logger's memory buffer, bytes. More than the upper one is not
// worth it: what is buffered has to be written back before a role can change,
// and to be read again after a crash.
const (
	leastBuffer = 4 << 20
	mostBuffer  = 64 << 20
)

// bufferShare is how much of mem_limit_percent of the memory one of so many
// resources gets.
func bufferShare(memory int64, percent, resources int) int64 {
	if memory <= 0 {
		return mostBuffer
	}
	share := memory / 100 * int64(percent) / int64(max(resources, 1))
	return min(max(share, leastBuffer), mostBuffer)
}

// Retune makes workers take over tunables that have changed; called on the
// node's executor.
func (n *Node) Retune() {
	share := bufferShare(n.cfg.Memory, n.cfg.Tunables.MemLimitPercent(), len(n.resources))
	for _, r := range n.resources {
		r.wenv.Post(func() { r.w.retune(share) })
	}
	n.kick()
}

// retune is called on the worker's executor.
func (w *worker) retune(share int64) {
	w.share = share
	if w.logger != nil {
		w.logger.SetTuning(w.tuning())
	}
	timeout := w.tunables.NetworkIOTimeout()
	if w.fetch.src != nil {
		w.fetch.src.SetTimeout(timeout)
	}
	if w.sync.src != nil {
		w.sync.src.SetTimeout(timeout)
	}
	w.kick()
}

package simenv

type Coroutine struct{ node *Node }

func (c *Coroutine) pause(change bool) {}

func (w *World) reap()                  {}
func (w *World) stopCoroutines(n *Node) {}

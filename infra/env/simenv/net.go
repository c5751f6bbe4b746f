package simenv

import (
	"errors"

	"mars/infra/env"
)

type network struct{ w *World }

func (nw *network) init(w *World)   { nw.w = w }
func (nw *network) started(n *Node) {}
func (nw *network) killed(n *Node)  {}
func (nw *network) lost(n *Node)    {}

type nodeNet struct{ ex *executor }

func (nt *nodeNet) Dial(to env.Endpoint, h env.ConnHandler) env.Conn { return nil }
func (nt *nodeNet) Listen(port int, accept func(env.Conn) env.ConnHandler) (env.Listener, error) {
	return nil, errors.New("not there yet")
}

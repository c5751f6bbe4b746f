// SPDX-License-Identifier: GPL-2.0-or-later

package osenv

import (
	"errors"

	"mars/infra/env"
)

// NetConfig is how a node talks to its peers.
type NetConfig struct {
	Addr string // own address, to listen on
	Port int    // base port; 0: 7777
}

var errNoNet = errors.New("network not configured")

type network struct{ n *Node }

func newNetwork(n *Node, cfg NetConfig) *network { return &network{n} }

func (w *network) close() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// Net connects to peers and listens.
func (e *Executor) Net() env.Net { return nil }

package server

import (
	"errors"

	"mars/infra/env"
	"mars/infra/wire"
)

// Reception receives connections for logs and syncs: it exchanges greetings and
// leads each peer to the server of the resource it asks for. It belongs to the
// executor that listens. All fields but Observe are needed.
type Reception struct {
	// Own makes this host's greeting; Purpose is set here.
	Own func() wire.Hello
	// Observe is told the greeting of a peer that was accepted.
	Observe func(h *wire.Hello)
	// Find names the server for a request. An error is answered (a *wire.Error
	// as it is, any other as CodeBusy), and the peer may ask again.
	Find func(peer, resource string, verb wire.Type) (*Server, error)
}

// guest is a connection that is not with a server yet.
type guest struct {
	r      *Reception
	own    wire.Hello
	hello  wire.Hello
	known  bool
	closed bool
}

// Receive makes the handler for one new connection of a purpose (ForLog or
// ForSync): what Net.Listen's accept returns.
func (r *Reception) Receive(purpose wire.Purpose) env.ConnHandler {
	own := r.Own()
	own.Purpose = purpose
	return &guest{r: r, own: own}
}

// Opened greets.
func (g *guest) Opened(c env.Conn) {
	purpose := g.own.Purpose
	g.own = g.r.Own() // with the present stamp
	g.own.Purpose = purpose
	c.Send(g.own.Append(nil))
}

// Drained and Closed mean nothing here.
func (g *guest) Drained(env.Conn)       {}
func (g *guest) Closed(env.Conn, error) { g.closed = true }

// Frame takes the greeting, then requests.
func (g *guest) Frame(c env.Conn, f []byte) {
	t := wire.TypeOf(f)
	if g.closed || !t.Known() || t == wire.TypeInfo || t == wire.TypeHeartbeat {
		return
	}
	if !g.known {
		g.greet(c, f)
		return
	}
	id, resource, err := requestOf(t, f)
	if err != nil {
		g.refuse(c, 0, &wire.Error{Code: wire.CodeVersion, Text: "not a request here"})
		return
	}
	s, err := g.r.Find(g.hello.Host, resource, t)
	if err != nil {
		g.refuse(c, id, err)
		return
	}
	s.Serve(c, &g.hello, f)
}

func (g *guest) greet(c env.Conn, f []byte) {
	if err := g.hello.Decode(f); err != nil {
		g.refuse(c, 0, &wire.Error{Code: wire.CodeVersion, Text: "no Hello"})
		return
	}
	if _, err := g.hello.Accept(&g.own, c.Peer().Host); err != nil {
		g.refuse(c, 0, err)
		return
	}
	g.known = true
	if g.r.Observe != nil {
		g.r.Observe(&g.hello)
	}
}

// refuse answers with an error; without an ID that ends the connection.
func (g *guest) refuse(c env.Conn, id uint64, err error) {
	var e *wire.Error
	if !errors.As(err, &e) {
		e = &wire.Error{Code: wire.CodeBusy}
	}
	a := wire.Error{ID: id, Code: e.Code, Text: e.Text}
	c.Send(a.Append(nil))
	if id == 0 {
		g.closed = true
		c.Close()
	}
}

// requestOf reads from a request what all of them have.
func requestOf(t wire.Type, f []byte) (id uint64, resource string, err error) {
	cn := conn{purpose: wire.ForSync}
	if t == wire.TypeFetchLog {
		cn.purpose = wire.ForLog
	}
	r, resource, err := cn.decode(t, f)
	if err != nil {
		return 0, "", err
	}
	return r.id, resource, nil
}

package env

import "fmt"

// The three ports of a node, as offsets from mars_port (7777).
const (
	PortTree = 0 // symlink tree
	PortLog  = 1 // transaction logfiles
	PortSync = 2 // initial sync
)

// PeerID is who the other end of a connection is, as its certificate proved
// (or, on an insecure network, as it claims).
type PeerID struct {
	Cluster string // uuid
	Host    string
}

// Endpoint is where to connect to.
type Endpoint struct {
	Host string // the peer's host name: what its certificate must say
	Addr string // IP address
	Port int    // offset: PortTree, PortLog, PortSync
}

// String is for messages.
func (e Endpoint) String() string { return fmt.Sprintf("%s (%s, port +%d)", e.Host, e.Addr, e.Port) }

// ConnHandler gets the events of one connection, on the executor that the
// connection lives on.
type ConnHandler interface {
	// Opened comes once when both sides have proved who they are.
	Opened(c Conn)
	// Frame brings one whole frame; f is valid only during the call.
	Frame(c Conn, f []byte)
	// Drained comes when Queued fell below the low-water mark (256 KiB)
	// after it had been above it.
	Drained(c Conn)
	// Closed comes exactly once, last; err tells why (nil: own Close).
	Closed(c Conn, err error)
}

// Conn is a framed, ordered connection with a peer; TLS is below it.
type Conn interface {
	// Send queues one frame (at most MaxFrame bytes); f is copied before Send
	// returns. After Closed it does nothing.
	Send(f []byte)
	// Queued is the number of bytes not yet handed to the network.
	Queued() int
	// Peer is valid from Opened on.
	Peer() PeerID
	// Move hands the connection to another executor and handler: later
	// events go there. Called on the present executor.
	Move(to Env, h ConnHandler)
	Close()
}

// MaxFrame is the largest frame in bytes: 1 MiB of payload and its header.
const MaxFrame = 1<<20 + 4096

// Net makes connections. Dial and accept time out by themselves, idle
// connections are kept alive and dead ones found (no byte for 20 s).
type Net interface {
	// Dial starts a connection; failure comes as Closed without Opened.
	Dial(to Endpoint, h ConnHandler) Conn
	// Listen accepts on this node's own address; accept names the handler of
	// a new, authenticated connection, or nil to refuse it.
	Listen(port int, accept func(Conn) ConnHandler) (Listener, error)
}

// Listener stops accepting when closed; accepted connections live on.
type Listener interface{ Close() }

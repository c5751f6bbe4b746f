package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// The guest talks to the host in frames:
//
//	0        1                5
//	+--------+----------------+----------------+
//	| kind   | length (BE 32) | payload        |
//	+--------+----------------+----------------+
const (
	frameHello  byte = 'h' // payload: JSON of hello
	frameOut    byte = 'o' // the program's standard output
	frameErr    byte = 'e' // the program's standard error
	frameNote   byte = 'n' // a message of the guest's own
	frameFile   byte = 'f' // begin of a fetched file: its index in the request
	frameData   byte = 'd' // more of the file begun last
	frameExit   byte = 'x' // the exit code as decimal text; the last frame
	frameHeader      = 5
	maxPayload       = 64 << 10
)

var (
	errFrameKind = errors.New("frame of unknown kind")
	errFrameSize = errors.New("frame too long")
)

// frameWriter writes whole frames; it may be used from several goroutines.
type frameWriter struct {
	mu sync.Mutex
	w  io.Writer
}

// send writes data as frames of one kind; at least one.
func (f *frameWriter) send(kind byte, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		n := min(len(data), maxPayload)
		buf := make([]byte, frameHeader, frameHeader+n)
		buf[0] = kind
		binary.BigEndian.PutUint32(buf[1:], uint32(n))
		if _, err := f.w.Write(append(buf, data[:n]...)); err != nil {
			return err
		}
		data = data[n:]
		if len(data) == 0 {
			return nil
		}
	}
}

// readFrame reads one frame. At the end of the stream between two frames the
// error is io.EOF, inside one io.ErrUnexpectedEOF.
func readFrame(r *bufio.Reader) (kind byte, data []byte, err error) {
	var head [frameHeader]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	switch head[0] {
	case frameHello, frameOut, frameErr, frameNote, frameFile, frameData, frameExit:
	default:
		return 0, nil, fmt.Errorf("%w: %#x", errFrameKind, head[0])
	}
	n := binary.BigEndian.Uint32(head[1:])
	if n > maxPayload {
		return 0, nil, fmt.Errorf("%w: %d bytes", errFrameSize, n)
	}
	data = make([]byte, n)
	if _, err := io.ReadFull(r, data); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	return head[0], data, nil
}

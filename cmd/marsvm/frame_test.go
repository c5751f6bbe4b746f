package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFrames(t *testing.T) {
	var b bytes.Buffer
	w := &frameWriter{w: &b}
	big := bytes.Repeat([]byte("x"), maxPayload+1)
	for _, f := range []struct {
		kind byte
		data []byte
	}{{frameOut, []byte("hi")}, {frameErr, nil}, {frameData, big}, {frameExit, []byte("3")}} {
		if err := w.send(f.kind, f.data); err != nil {
			t.Fatal(err)
		}
	}
	whole := b.Bytes()
	r := bufio.NewReader(&b)
	var got []string
	for {
		kind, data, err := readFrame(r)
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if kind == frameData {
			data = data[:1:1]
		}
		got = append(got, string(kind)+string(data))
	}
	if want := "ohi e dx dx x3"; strings.Join(got, " ") != want {
		t.Errorf("frames %q, want %q", got, want)
	}
	for n := 1; n < 12; n++ { // the first two frames are 7 and 5 bytes
		if n == 7 {
			continue
		}
		r := bufio.NewReader(bytes.NewReader(whole[:n]))
		_, _, err := readFrame(r)
		if n > 7 && err == nil {
			_, _, err = readFrame(r)
		}
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut after %d bytes: %v", n, err)
		}
	}
}

func FuzzFrame(f *testing.F) {
	f.Add([]byte("o\x00\x00\x00\x02hi"))
	f.Add([]byte("x\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, data, err := readFrame(bufio.NewReader(bytes.NewReader(b)))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := (&frameWriter{w: &again}).send(kind, data); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(b, again.Bytes()) {
			t.Fatalf("%q read as %q", b, again.Bytes())
		}
	})
}

// report makes the byte stream of a guest.
func report(t *testing.T, frames ...string) *bufio.Reader {
	t.Helper()
	var b bytes.Buffer
	w := &frameWriter{w: &b}
	for _, f := range frames {
		if err := w.send(f[0], []byte(f[1:])); err != nil {
			t.Fatal(err)
		}
	}
	return bufio.NewReader(&b)
}

func TestListen(t *testing.T) {
	dst := filepath.Join(t.TempDir(), "got")
	g := &guest{o: &options{fetch: []transfer{{src: "/a", dst: dst}}}, con: newConsole()}
	err := g.listen(report(t, `h{"Release":"6.12.1","Uptime":5}`, "f0", "dab", "dcd", "x9", "xnot read"))
	if err != nil {
		t.Fatal(err)
	}
	if g.res.code != 9 || !g.res.ended || g.res.hello.Release != "6.12.1" {
		t.Errorf("result %+v", g.res)
	}
	if b, err := os.ReadFile(dst); err != nil || string(b) != "abcd" {
		t.Errorf("fetched %q, %v", b, err)
	}
	for _, bad := range []string{"f1", "f-1", "f", "f../x", "dlost", "xnine", "h{"} {
		g := &guest{o: &options{fetch: []transfer{{src: "/a", dst: dst}}}, con: newConsole()}
		if err := g.listen(report(t, bad)); err == nil || g.res.ended {
			t.Errorf("%q passed: %+v", bad, g.res)
		}
	}
	g = &guest{o: &options{}, con: newConsole()}
	if err := g.listen(report(t)); err != nil || g.res.ended {
		t.Errorf("silence: %v, %+v", err, g.res)
	}
}

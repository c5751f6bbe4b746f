package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

// class is the class of a message, with the numbers and names of the original.
type class uint8

// The classes. fatal is nothing that marsd could still write down; total are
// all messages.
const (
	classDebug class = iota
	classInfo
	classWarn
	classError
	classFatal
	classTotal
	numClasses
)

var classNames = [numClasses]string{"debug", "info", "warn", "error", "fatal", "total"}

func classOf(l slog.Level) class {
	switch {
	case l >= slog.LevelError:
		return classError
	case l >= slog.LevelWarn:
		return classWarn
	case l >= slog.LevelInfo:
		return classInfo
	}
	return classDebug
}

// message is one message on its way into the files.
type message struct {
	at       time.Time
	class    class
	resource string // empty: it is about none
	text     string
}

// queueLen is how many messages may wait for the disk. Further ones are only
// counted: a full or slow /mars must hold nobody up.
const queueLen = 256

// tee is an slog.Handler that passes everything on to another one, and puts it
// into the message files as soon as there is a place for them.
type tee struct {
	slog.Handler
	to       *atomic.Pointer[messageFiles]
	resource string
	attrs    string
}

// Handle implements slog.Handler.
func (t *tee) Handle(ctx context.Context, r slog.Record) error {
	if f := t.to.Load(); f != nil {
		m := message{at: r.Time, class: classOf(r.Level), resource: t.resource}
		var b strings.Builder
		b.WriteString(r.Message + t.attrs)
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "resource" {
				m.resource = a.Value.String()
			}
			writeAttr(&b, a)
			return true
		})
		m.text = oneLine(b.String())
		f.put(m)
	}
	return t.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (t *tee) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *t
	c.Handler = t.Handler.WithAttrs(attrs)
	var b strings.Builder
	for _, a := range attrs {
		if a.Key == "resource" {
			c.resource = a.Value.String()
		}
		writeAttr(&b, a)
	}
	c.attrs += b.String()
	return &c
}

// WithGroup implements slog.Handler. Groups make no difference in the files.
func (t *tee) WithGroup(name string) slog.Handler {
	c := *t
	c.Handler = t.Handler.WithGroup(name)
	return &c
}

func writeAttr(b *strings.Builder, a slog.Attr) { fmt.Fprintf(b, " %s=%v", a.Key, a.Value) }

// maxMessage bounds one message, bytes.
const maxMessage = 1000

// oneLine keeps a message from looking like several, and what others have said in
// it from steering the terminal of whoever reads it.
func oneLine(text string) string {
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) {
			return ' '
		}
		return r
	}, text)
}

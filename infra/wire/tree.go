package wire

import (
	"fmt"

	"mars/infra/lamport"
)

// Heartbeat is sent when there was nothing else to send for a while. It also
// carries the Lamport clock onwards.
type Heartbeat struct {
	Stamp      lamport.Stamp
	SystemTime lamport.Stamp
}

// Type returns TypeHeartbeat.
func (m *Heartbeat) Type() Type { return TypeHeartbeat }

// Append appends the frame to dst.
func (m *Heartbeat) Append(dst []byte) []byte {
	return appendStamp(appendStamp(append(dst, byte(TypeHeartbeat)), m.Stamp), m.SystemTime)
}

// Decode reads the frame.
func (m *Heartbeat) Decode(frame []byte) error {
	r := open(frame, TypeHeartbeat)
	m.Stamp = r.stamp("stamp")
	m.SystemTime = r.stamp("system time")
	return r.err
}

// Notify says that the sender's tree has changed: come and get it. It is for a
// peer that is not subscribed.
type Notify struct{ Stamp lamport.Stamp }

// Type returns TypeNotify.
func (m *Notify) Type() Type { return TypeNotify }

// Append appends the frame to dst.
func (m *Notify) Append(dst []byte) []byte {
	return appendStamp(append(dst, byte(TypeNotify)), m.Stamp)
}

// Decode reads the frame.
func (m *Notify) Decode(frame []byte) error {
	r := open(frame, TypeNotify)
	m.Stamp = r.stamp("stamp")
	return r.err
}

// SubscribeTree asks for the whole tree, and from then on for every change. What
// is in directories with the sums that it brings the sender has already, and
// wants no more.
type SubscribeTree struct{ Have [][SumSize]byte }

// MaxHave is the largest number of sums in a SubscribeTree.
const MaxHave = 4000

// Type returns TypeSubscribeTree.
func (m *SubscribeTree) Type() Type { return TypeSubscribeTree }

// Append appends the frame to dst.
func (m *SubscribeTree) Append(dst []byte) []byte {
	must("sums", int64(len(m.Have)), 0, MaxHave)
	dst = appendU16(append(dst, byte(TypeSubscribeTree)), uint16(len(m.Have)))
	for i := range m.Have {
		dst = append(dst, m.Have[i][:]...)
	}
	return dst
}

// Decode reads the frame.
func (m *SubscribeTree) Decode(frame []byte) error {
	r := open(frame, TypeSubscribeTree)
	m.Have = nil
	if r.err == nil && len(r.rest) == 0 { // from a release that has no sums
		return nil
	}
	n := int(r.u16("sums"))
	if n > MaxHave {
		r.fail("sums", ErrLimit)
	}
	if b := r.take("sums", n*SumSize); len(b) > 0 {
		m.Have = make([][SumSize]byte, n)
		for i := range m.Have {
			copy(m.Have[i][:], b[i*SumSize:])
		}
	}
	return r.err
}

// TreeBegin begins a whole tree.
type TreeBegin struct {
	Stamp lamport.Stamp // the sender's clock when it began
	Count uint32        // entries of the whole tree, or MaxLinks if there are more
}

// Type returns TypeTreeBegin.
func (m *TreeBegin) Type() Type { return TypeTreeBegin }

// Append appends the frame to dst.
func (m *TreeBegin) Append(dst []byte) []byte {
	dst = appendStamp(append(dst, byte(TypeTreeBegin)), m.Stamp)
	return appendNumber(dst, "count", m.Count, 0, MaxLinks)
}

// Decode reads the frame.
func (m *TreeBegin) Decode(frame []byte) error {
	r := open(frame, TypeTreeBegin)
	m.Stamp = r.stamp("stamp")
	m.Count = r.u32("count", 0, MaxLinks)
	return r.err
}

// TreeEnd ends a whole tree: from here on there are changes.
type TreeEnd struct{}

// Type returns TypeTreeEnd.
func (m *TreeEnd) Type() Type { return TypeTreeEnd }

// Append appends the frame to dst.
func (m *TreeEnd) Append(dst []byte) []byte { return append(dst, byte(TypeTreeEnd)) }

// Decode reads the frame.
func (m *TreeEnd) Decode(frame []byte) error {
	r := open(frame, TypeTreeEnd)
	return r.err
}

// LinkKind tells what an entry of the tree is.
type LinkKind uint8

// The kinds. An entry of another kind (of a later release) is to be skipped.
const (
	KindLink LinkKind = 1 // a symlink with a value
	KindDir  LinkKind = 2 // a directory
	KindGone LinkKind = 3 // was removed at the stamp
)

// String returns "link", "dir", "gone", or the number of another kind.
func (k LinkKind) String() string {
	switch k {
	case KindLink:
		return "link"
	case KindDir:
		return "dir"
	case KindGone:
		return "gone"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Link is one entry of the symlink tree. The wire bounds its lengths only;
// whether the path is in the grammar, and whether it may come from this peer,
// is decided by the receiver's tree.
type Link struct {
	Path  string // below the tree's directory, 1 to MaxPath bytes
	Value string // at most MaxValue bytes
	Stamp lamport.Stamp
	Kind  LinkKind
}

// linkFixed is the size of an entry without its texts: its own length, kind,
// stamp and two lengths.
const linkFixed = 2 + 1 + 8 + 2 + 2

// linksFixed is the size of a TreeLinks without entries.
const linksFixed = 1 + 2

// Fits reports whether the entry is within the limits and can be sent. One
// that is not can only have been made by hand.
func (l *Link) Fits() bool {
	return len(l.Path) >= 1 && len(l.Path) <= MaxPath && len(l.Value) <= MaxValue
}

// Size returns the bytes that the entry takes in a TreeLinks.
func (l *Link) Size() int { return linkFixed + len(l.Path) + len(l.Value) }

// Chunk returns how many of the first links go into one TreeLinks: at least 1
// if there is any. All must fit.
func Chunk(links []Link) int {
	size := linksFixed
	for i := range links {
		size += links[i].Size()
		if size > MaxControl || i == 1<<16-1 {
			return i
		}
	}
	return len(links)
}

// TreeLinks brings some links: a part of a whole tree, or changes.
type TreeLinks struct{ Links []Link }

// Type returns TypeTreeLinks.
func (m *TreeLinks) Type() Type { return TypeTreeLinks }

// Append appends the frame to dst. The links must be within one Chunk.
//
//	entry: size of the rest u16, kind u8, stamp u64, path, value
func (m *TreeLinks) Append(dst []byte) []byte {
	start := len(dst)
	must("links", int64(len(m.Links)), 0, 1<<16-1)
	dst = appendU16(append(dst, byte(TypeTreeLinks)), uint16(len(m.Links)))
	for i := range m.Links {
		l := &m.Links[i]
		dst = appendU16(dst, uint16(l.Size()-2))
		dst = appendStamp(append(dst, byte(l.Kind)), l.Stamp)
		dst = appendText(dst, "path", l.Path, 1, MaxPath)
		dst = appendText(dst, "value", l.Value, 0, MaxValue)
	}
	must("size of TreeLinks", int64(len(dst)-start), 0, MaxControl)
	return dst
}

// Decode reads the frame. The slice in m.Links is used again. The texts share
// one copy of the frame: who keeps one clones it.
func (m *TreeLinks) Decode(frame []byte) error {
	r := open(frame, TypeTreeLinks)
	n := int(r.u16("count"))
	if n*linkFixed > len(r.rest) { // before allocating for them
		r.fail("count", ErrLimit)
		n = 0
	}
	if cap(m.Links) < n {
		m.Links = make([]Link, 0, n)
	}
	m.Links = m.Links[:0]
	all := string(frame)
	for range n {
		body := r.take("link", int(r.u16("link")))
		entry := reader{typ: r.typ, rest: body, err: r.err}
		end := len(all) - len(r.rest) // of this entry, in the frame
		part := func(b []byte) string {
			to := end - len(entry.rest)
			return all[to-len(b) : to]
		}
		l := Link{Kind: LinkKind(entry.u8("kind")), Stamp: entry.stamp("link's stamp")}
		l.Path = part(entry.bytes("path", 1, MaxPath))
		l.Value = part(entry.bytes("value", 0, MaxValue))
		if r.err == nil {
			r.err = entry.err
		}
		if r.err != nil {
			return r.err
		}
		m.Links = append(m.Links, l)
	}
	return r.err
}

package wire

// ReadBlocks asks for bytes of a resource's disk.
type ReadBlocks struct {
	ID       uint64
	Resource string // 1 to MaxName bytes
	Offset   int64
	Len      uint32 // 1 to MaxData
}

// Type returns TypeReadBlocks.
func (m *ReadBlocks) Type() Type { return TypeReadBlocks }

// Append appends the frame to dst.
func (m *ReadBlocks) Append(dst []byte) []byte {
	dst = appendU64(append(dst, byte(TypeReadBlocks)), m.ID)
	dst = appendText(dst, "resource", m.Resource, 1, MaxName)
	dst = appendOffset(dst, "offset", m.Offset)
	return appendNumber(dst, "length", m.Len, 1, MaxData)
}

// Decode reads the frame.
func (m *ReadBlocks) Decode(frame []byte) error {
	r := open(frame, TypeReadBlocks)
	m.ID = r.u64("id")
	m.Resource = r.text("resource", m.Resource, 1, MaxName)
	m.Offset = r.offset("offset")
	m.Len = r.u32("length", 1, MaxData)
	return r.err
}

// Blocks is the reply to ReadBlocks: all that was asked for.
type Blocks struct {
	ID     uint64
	Offset int64
	Data   []byte // at most MaxData bytes; aliases the frame
}

// BlocksHead is the number of bytes that AppendHead of Blocks appends.
const BlocksHead = 1 + 8 + 8 + 4

// Type returns TypeBlocks.
func (m *Blocks) Type() Type { return TypeBlocks }

// AppendHead appends the frame without Data to dst; n bytes of data are to
// follow, which the caller can so read into place. Data is not looked at.
func (m *Blocks) AppendHead(dst []byte, n int) []byte {
	must("data", int64(n), 0, MaxData)
	dst = appendU64(append(dst, byte(TypeBlocks)), m.ID)
	return appendU32(appendOffset(dst, "offset", m.Offset), uint32(n))
}

// Append appends the frame to dst.
func (m *Blocks) Append(dst []byte) []byte {
	return append(m.AppendHead(dst, len(m.Data)), m.Data...)
}

// Decode reads the frame.
func (m *Blocks) Decode(frame []byte) error {
	r := open(frame, TypeBlocks)
	m.ID = r.u64("id")
	m.Offset = r.offset("offset")
	m.Data = r.data("data", MaxData)
	return r.err
}

// The granularities of digests: bytes a sum. First the coarse one, then the
// fine one inside of what differs.
const (
	Coarse = 64 << 10
	Fine   = 4 << 10
)

// Digest asks for sums over a range of a resource's disk, in pieces of
// Granularity bytes from Offset on; the last piece may be shorter.
type Digest struct {
	ID          uint64
	Resource    string // 1 to MaxName bytes
	Offset      int64
	Len         int64  // bytes, 1 to MaxSums*Granularity
	Granularity uint32 // Coarse or Fine
}

// Type returns TypeDigest.
func (m *Digest) Type() Type { return TypeDigest }

// Sums returns how many sums the reply holds.
func (m *Digest) Sums() int {
	return int((m.Len + int64(m.Granularity) - 1) / int64(m.Granularity))
}

// possible checks what the limits of the single fields can not.
func (m *Digest) possible() (field string, err error) {
	switch {
	case m.Granularity != Coarse && m.Granularity != Fine:
		return "granularity", ErrValue
	case m.Len < 1 || m.Len > MaxSums*int64(m.Granularity):
		return "length", ErrLimit
	}
	return "", nil
}

// Append appends the frame to dst.
func (m *Digest) Append(dst []byte) []byte {
	if field, err := m.possible(); err != nil {
		panic("wire: Digest: " + field + ": " + err.Error())
	}
	dst = appendU64(append(dst, byte(TypeDigest)), m.ID)
	dst = appendText(dst, "resource", m.Resource, 1, MaxName)
	dst = appendOffset(dst, "offset", m.Offset)
	dst = appendOffset(dst, "length", m.Len)
	return appendU32(dst, m.Granularity)
}

// Decode reads the frame.
func (m *Digest) Decode(frame []byte) error {
	r := open(frame, TypeDigest)
	m.ID = r.u64("id")
	m.Resource = r.text("resource", m.Resource, 1, MaxName)
	m.Offset = r.offset("offset")
	m.Len = r.offset("length")
	m.Granularity = r.u32("granularity", 0, Coarse)
	if field, err := m.possible(); err != nil {
		r.fail(field, err)
	}
	return r.err
}

// Digests is the reply to Digest.
type Digests struct {
	ID     uint64
	Offset int64  // of the first piece
	Sums   []byte // SumSize bytes a piece, at most MaxSums of them; aliases the frame
}

// Type returns TypeDigests.
func (m *Digests) Type() Type { return TypeDigests }

// Append appends the frame to dst.
func (m *Digests) Append(dst []byte) []byte {
	must("sums", int64(len(m.Sums)), 0, MaxSums*SumSize)
	must("half a sum", int64(len(m.Sums)%SumSize), 0, 0)
	dst = appendU64(append(dst, byte(TypeDigests)), m.ID)
	dst = appendOffset(dst, "offset", m.Offset)
	return append(appendU32(dst, uint32(len(m.Sums))), m.Sums...)
}

// Decode reads the frame.
func (m *Digests) Decode(frame []byte) error {
	r := open(frame, TypeDigests)
	m.ID = r.u64("id")
	m.Offset = r.offset("offset")
	m.Sums = r.data("sums", MaxSums*SumSize)
	if len(m.Sums)%SumSize != 0 {
		r.fail("sums", ErrValue)
	}
	return r.err
}

// Count returns how many sums there are.
func (m *Digests) Count() int { return len(m.Sums) / SumSize }

// Sum returns the i-th sum, i from 0 to Count()-1, aliasing Sums.
func (m *Digests) Sum(i int) []byte { return m.Sums[i*SumSize : (i+1)*SumSize : (i+1)*SumSize] }

// SyncInfo asks for the state of a resource as the source of a sync.
type SyncInfo struct {
	ID       uint64
	Resource string // 1 to MaxName bytes
}

// Type returns TypeSyncInfo.
func (m *SyncInfo) Type() Type { return TypeSyncInfo }

// Append appends the frame to dst.
func (m *SyncInfo) Append(dst []byte) []byte {
	dst = appendU64(append(dst, byte(TypeSyncInfo)), m.ID)
	return appendText(dst, "resource", m.Resource, 1, MaxName)
}

// Decode reads the frame.
func (m *SyncInfo) Decode(frame []byte) error {
	r := open(frame, TypeSyncInfo)
	m.ID = r.u64("id")
	m.Resource = r.text("resource", m.Resource, 1, MaxName)
	return r.err
}

// SyncState is the reply to SyncInfo.
type SyncState struct {
	ID        uint64
	Size      int64  // of the resource, bytes
	LogNumber uint32 // of the current log, 0 (none) to MaxNumber
	LogOrigin string // of the current log, at most MaxName bytes
	LogPos    int64  // durable end of the current log at this moment
	Ready     bool   // may be synced from
	Text      string // why not, for people; cut to MaxText
}

// Type returns TypeSyncState.
func (m *SyncState) Type() Type { return TypeSyncState }

// Append appends the frame to dst.
func (m *SyncState) Append(dst []byte) []byte {
	dst = appendU64(append(dst, byte(TypeSyncState)), m.ID)
	dst = appendOffset(dst, "size", m.Size)
	dst = appendNumber(dst, "log number", m.LogNumber, 0, MaxNumber)
	dst = appendText(dst, "log origin", m.LogOrigin, 0, MaxName)
	dst = appendOffset(dst, "log position", m.LogPos)
	dst = appendBool(dst, m.Ready)
	return appendText(dst, "text", cut(m.Text, MaxText), 0, MaxText)
}

// Decode reads the frame.
func (m *SyncState) Decode(frame []byte) error {
	r := open(frame, TypeSyncState)
	m.ID = r.u64("id")
	m.Size = r.offset("size")
	m.LogNumber = r.u32("log number", 0, MaxNumber)
	m.LogOrigin = r.text("log origin", m.LogOrigin, 0, MaxName)
	m.LogPos = r.offset("log position")
	m.Ready = r.u8("ready") != 0
	m.Text = r.text("text", m.Text, 0, MaxText)
	return r.err
}

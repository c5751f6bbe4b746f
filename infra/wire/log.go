package wire

// FetchLog asks for bytes of a transaction log.
type FetchLog struct {
	ID       uint64
	Resource string // 1 to MaxName bytes
	Number   uint32 // of the log, 1 to MaxNumber
	Origin   string // the host that wrote the log, 1 to MaxName bytes
	Offset   int64  // first byte wanted
	MaxLen   uint32 // most bytes wanted, 1 to MaxData
	WaitMs   uint32 // how long to wait for bytes if there is none yet, at most MaxWaitMs
}

// Type returns TypeFetchLog.
func (m *FetchLog) Type() Type { return TypeFetchLog }

// Append appends the frame to dst.
func (m *FetchLog) Append(dst []byte) []byte {
	dst = appendU64(append(dst, byte(TypeFetchLog)), m.ID)
	dst = appendText(dst, "resource", m.Resource, 1, MaxName)
	dst = appendNumber(dst, "number", m.Number, 1, MaxNumber)
	dst = appendText(dst, "origin", m.Origin, 1, MaxName)
	dst = appendOffset(dst, "offset", m.Offset)
	dst = appendNumber(dst, "length", m.MaxLen, 1, MaxData)
	return appendNumber(dst, "wait", m.WaitMs, 0, MaxWaitMs)
}

// Decode reads the frame.
func (m *FetchLog) Decode(frame []byte) error {
	r := open(frame, TypeFetchLog)
	m.ID = r.u64("id")
	m.Resource = r.text("resource", m.Resource, 1, MaxName)
	m.Number = r.u32("number", 1, MaxNumber)
	m.Origin = r.text("origin", m.Origin, 1, MaxName)
	m.Offset = r.offset("offset")
	m.MaxLen = r.u32("length", 1, MaxData)
	m.WaitMs = r.u32("wait", 0, MaxWaitMs)
	return r.err
}

// LogData is the reply to FetchLog: what there is from Offset on, possibly
// nothing. It never reaches beyond the durable end of the log: a peer must not
// hold a byte that the server could still lose.
type LogData struct {
	ID         uint64
	Offset     int64  // of the first byte of Data
	DurableEnd int64  // of the log, at least the end of Data
	Final      bool   // the log is closed: DurableEnd is its end for good
	Data       []byte // at most MaxData bytes; aliases the frame
}

// logFinal is the flag for Final; the other flags are reserved and ignored.
const logFinal = 1

// LogDataHead is the number of bytes that AppendHead of LogData appends.
const LogDataHead = 1 + 8 + 8 + 8 + 1 + 4

// Type returns TypeLogData.
func (m *LogData) Type() Type { return TypeLogData }

// AppendHead appends the frame without Data to dst; n bytes of data are to
// follow, which the caller can so read into place. Data is not looked at.
func (m *LogData) AppendHead(dst []byte, n int) []byte {
	must("data", int64(n), 0, MaxData)
	must("end of data", m.Offset+int64(n), 0, m.DurableEnd)
	dst = appendU64(append(dst, byte(TypeLogData)), m.ID)
	dst = appendOffset(dst, "offset", m.Offset)
	dst = appendOffset(dst, "durable end", m.DurableEnd)
	flags := byte(0)
	if m.Final {
		flags = logFinal
	}
	return appendU32(append(dst, flags), uint32(n))
}

// Append appends the frame to dst.
func (m *LogData) Append(dst []byte) []byte {
	return append(m.AppendHead(dst, len(m.Data)), m.Data...)
}

// Decode reads the frame.
func (m *LogData) Decode(frame []byte) error {
	r := open(frame, TypeLogData)
	m.ID = r.u64("id")
	m.Offset = r.offset("offset")
	m.DurableEnd = r.offset("durable end")
	m.Final = r.u8("flags")&logFinal != 0
	m.Data = r.data("data", MaxData)
	if m.Offset+int64(len(m.Data)) > m.DurableEnd {
		r.fail("durable end", ErrLimit)
	}
	return r.err
}

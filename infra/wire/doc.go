// Package wire is the protocol between the daemons of a cluster (the
// counterpart of the original's mars_net; it does not talk to that). It is
// typed and pull-only: no verb names a path, none writes. A peer can ask for
// the symlink tree, for a range of a transaction log, for blocks and digests of
// a resource's disk, and can say that its own tree has changed.
//
// The package only turns messages into bytes and back and decides who may ask
// for what (May). It does no IO. Connections are env's, TLS is in wire/pki.
//
// # Framing
//
// A frame is one message: a type byte and a body. On a stream each frame has a
// prefix of 4 bytes, its length (type byte included), little endian:
//
//	+--------+--------+--------+--------+------+----------- - - -
//	|      length of type and body      | type | body
//	+--------+--------+--------+--------+------+----------- - - -
//
// Types below 0x80 are control frames of at most 64 KiB, types from 0x80 on
// carry data: at most 1 MiB of it and 4 KiB for the rest. So the limit is known
// from the first five bytes, for types of the future too, and is checked before
// anything is allocated (FrameSize).
//
// # Messages
//
// Integers are little endian and of fixed width, texts are preceded by a
// length of 2 bytes and have a limit each, data by 4 bytes. The fields are in
// the order of the struct. Positions and sizes in bytes are below 2^62.
//
// On every connection both sides first send Hello. Then, by its purpose:
//
//	tree (port +0)   SubscribeTree -> TreeBegin TreeLinks... TreeEnd,
//	                 then TreeLinks as things change; Heartbeat, Notify.
//	                 SubscribeTree says what need not be sent
//	logs (port +1)   FetchLog -> LogData | Error
//	sync (port +2)   SyncInfo -> SyncState | Error
//	                 Digest -> Digests | Error, ReadBlocks -> Blocks | Error
//
// Requests have an ID that the reply repeats; several may be under way on one
// connection and replies may come in any order.
//
// # Growing
//
// A release differs by one from its neighbours in either direction:
//
//   - Frames of an unknown type are skipped (Type.Known).
//   - Fields are only ever appended to a message; decoders ignore bytes that
//     follow the fields they know. A field that was appended after version 1
//     is absent in frames of older peers and then has its zero value.
//   - Hello tells the range of versions each side speaks; Negotiate picks the
//     highest common one.
//
// # Life cycle of a message
//
// Append encodes into the caller's slice, and allocates only if that has no
// room. A message that breaks its own limits is a programming error and panics;
// free texts are cut instead. Decode checks every limit, keeps what was in the
// struct if it is the same text, and lets Data and Sums alias the frame: a
// struct used again and again for one resource decodes without allocating. What
// aliases a frame is valid as long as that is. After an error the contents of
// the struct mean nothing.
package wire

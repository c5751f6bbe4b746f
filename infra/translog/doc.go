// Package translog is the format of MARS's transaction logfiles: it packs records into batches, reads them back, and
// tells where a log ends and why. It does no IO, reads no clock and starts nothing; callers move the bytes.
//
// # The file
//
// A logfile is a plain concatenation of records from offset 0, without a file header (manual 2.1, The Transaction
// Logger). Its name is log-NNNNNNNNN-ORIGIN (see [Name]). Positions are byte offsets of record ends.
//
//	0                    A                            2A                       durable end     prepared
//	+----------+---+-----+--------+--------+----------+--------+--------+------+--------------+- - - - -+
//	| identity | r | ... | filler | record | filler   | record | record | ...  | filler       | 0 0 0 0 |
//	+----------+---+-----+--------+--------+----------+--------+--------+------+--------------+- - - - -+
//	\______ first batch _________/ \__ second batch _/ \__________ third batch ______________/
//
// A batch is what one write puts on the disk. It starts and ends on a multiple of the direct-IO alignment A (512 or
// 4096 bytes), for which a filler record closes it. No byte is ever written twice. What lies behind the last batch was
// zeroed ahead, so zeros mean end of log. A log is never appended to after a restart: each file's first record, an
// identity filler, carries what tells this file from all others ([Identity]).
//
// # The record
//
// Version 1 of the format, little endian; 84 bytes around the payload:
//
//	header    0  8  start magic 0xa8f7e908d9177957
//	          8  1  format version, 1
//	          9  1  valid flag, 1
//	         10  2  total length, signed: 84 + payload
//	         12  8  stamp, seconds     (Lamport time at which the write was issued)
//	         20  8  stamp, nanoseconds
//	         28  8  position on the disk, bytes
//	         36  2  payload length, signed: 4..4096 in our files, a multiple of 4
//	         38  2  length before compression; 0: we do not compress
//	         40  4  header check (below); 0 in files of the original
//	         44  2  code: what the record does ([Code])
//	         46  2  lag of the durable end (below); 0 in files of the original
//	payload  48  n
//	trailer  +0  8  end magic 0x74941fb74ab5726d
//	         +8  4  first four bytes of the payload's MD5; 0 = none, as in our files
//	        +12  1  valid flag, 1
//	        +13  1  0
//	        +14  2  check algorithms: bit 2 = CRC32C, the only one in our files
//	        +16  4  sequence number: from 1 in each file, fillers included, without a gap
//	        +20 16  digest; in our files: CRC32C of the payload (4 bytes), then zeros
//
// Header check: CRC32C over identity payload | header with this word 0 | sequence number (4) | CRC32C of the payload (4)
// | file offset of the record (8). It binds every field to this log and this place, so a record can be judged alone, and
// a flipped position or a stale, swapped, duplicated, misplaced or foreign record is found before anything of it is
// handed out. Bytes outside both checks (magics, flags, zero fields of the trailer) have one legal value each.
//
// Lag: how far behind the record's start the log's durable end was when the record was built, in units of 512 bytes
// rounded up; 65535 = unknown or further. Durable ends are multiples of 512, so a reader gets back the exact value.
//
// Codes 16 and above are ours: WRITE_ZEROES and DISCARD carry the range's length as payload (8 bytes) and its start in
// the position field.
//
// # Where a log ends
//
// After a power cut the blocks of the last batches may have reached the disk in any order. So at the first position p
// that does not hold the next record there are three verdicts, told by looking up to [MaxInFlight] ahead:
//
//   - [VerdictDamage]: p was durable once: it is below a published position, or a genuine record further on says that
//     the durable end was beyond p when it was built. Nobody may cut here; stop loudly.
//   - [VerdictEnd]: nothing but zeros follow.
//   - [VerdictTorn]: anything else; the log is cut at p.
//
// Damage within the very last batches with nothing genuine behind them looks like a torn tail; only a published
// position ([Options].Published) can tell.
//
// # Life cycle
//
// Writer: [NewBuilder] for each new file, then for each batch Begin, Append..., Close; write what Close returns.
// Reader: [NewScanner]; Next until it wants more (Feed), ends (io.EOF) or fails with a [CorruptError]; in the last case
// [Scanner.Probe] and feed the [Prober] until it has a verdict. [ScanAll] does all that over an io.ReaderAt.
// Whoever continues a copy of a log compares [ReadIdentity] of both first.
//
// Builder, Scanner and Prober belong to one user each and allocate nothing per record.
//
// # Files of the original
//
// With [Options].Foreign a file without identity record is read by the original's rules: no header check, payload
// checked by what its flags name (none, four bytes of MD5, MD5, CRC32C). Later releases of the original store under the
// CRC32C flag eight CRCs, of eight pieces, folded by XOR into 16 bytes; equal halves of a payload cancel out there,
// whatever they contain. We read that, but write the plain CRC: the manual's releases ignore the field, those later ones
// refuse our files.
package translog

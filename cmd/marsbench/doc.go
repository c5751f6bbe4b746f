// Command marsbench measures the write path of mars on this machine, in one run
// of less than a minute, and says for every target whether it is met. The exit
// status is 1 when one is missed or a measurement failed.
//
//	marsbench [-dir DIR] [-rounds N] [-only PARTS] [-cpuprofile FILE]
//
// # What is compared
//
// Absolute figures of a machine that others use swing by a factor of two from
// one second to the next. So everything that has a target is a ratio within
// this run, or a bound with much room. The yardstick is the bare loop: one
// thread that overwrites laid-out blocks of a file with O_DIRECT and RWF_DSYNC,
// as many bytes at a time as the log takes for one record of 4 KiB. Short slices
// of it alternate with slices of one writer through the logger, and slices of
// one writer with slices of 64; a ratio is the median of the ratios of groups of
// neighbours. While the bare loop runs nothing else does. The targets are for the
// log alone: there the writeback is held back by the tuning until a slice is over.
// They are meant for a disk that takes 150 microseconds for a durable write; on a
// faster one the difference is added to both sides, so that what counts is what
// the program adds. With writeback, which then catches up in the logger's next
// slice so that all of its cost counts, the plain ratios are reported. On a
// machine whose processors others keep busy all this is noise; the load average
// is printed.
//
// # What is measured
//
// A graph as in production: a disk (a file of DIR, laid out), a log file in the
// same file system, a trans_logger brick between them with the default tuning,
// all on one executor of the real environment. Above it a brick of this program
// stands where the block device would be: it issues writes on the executor, and
// the completion of one issues the next. Between logger and log file another
// counts the batches that let the file grow.
//
// The cost of idle resources is measured in a child process, so that memory
// which the other measurements touched does not count; and the client of the
// device by FUSE and loop is a child, because a process must not open a block
// device that it serves.
//
// Everything is made below one new directory in DIR, and removed at the end. It
// takes up to 900 MiB.
package main

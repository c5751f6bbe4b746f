// Command marsdemo shows mars at work, on one machine and in a minute: two
// nodes with real daemons, a real file system, a crash, a handover and a split
// brain. It runs the quick start of the manual (chapter 1) with the real
// marsadm and prints every command as it runs, so that its output is the
// tutorial. "make demo" builds everything and starts it.
//
// It needs root: it makes loop devices and mounts, all below one temporary
// directory, and removes everything again whatever happens. The last line says
// "demo: OK" with the figures, or "demo: FAILED" with the reason; the exit
// status is 1 then.
package main

// Package brick is the generic brick infrastructure layer (manual 4.6) and the
// object and aspect infrastructure (manual 4.7). It knows nothing of blocks.
//
// A brick is an instance of a brick type. It has inputs and outputs; an input
// is connected to at most one output of another brick, an output serves any
// number of inputs. Data flows through calls from an input to the operations
// of the output it is connected to, so the brick behind an input is its
// predecessor. Bricks and the wires between them form a Graph.
//
// # Power
//
// Every brick has a power switch: a button (what is wanted) and two LEDs (what
// is). A new brick is off.
//
//	button  led on  led off   meaning
//	off     0       1         off: no callbacks, timers or IO of it exist
//	on      0       0         starting
//	on      1       0         on
//	off     0       0         stopping: on its way to off
//
// Both LEDs lit is forbidden. Pressing the button calls Worker.Switch, which
// starts the change and returns; the brick lights the LEDs when it got there.
// A brick may be switched on only when all its connected predecessors are on,
// and off only when nothing is connected to its outputs any more or every
// consumer is off. That keeps a graph honest: nobody calls into a brick that
// is not on. A forced-off brick can never be switched on again; it is about to
// be removed.
//
// # Objects and aspects
//
// Requests that travel through a graph embed Object. A brick keeps its private
// part of a request as an aspect: AspectOf makes it on first use and finds it
// again later, at no cost in memory when requests are reused.
//
// # Concurrency
//
// A graph and all its bricks belong to one executor. Nothing here locks.
package brick

// Package check is the brick type "check": an interposer for tests. Put between
// any two bricks it passes every request on unchanged and reports what breaks
// the contract of package block.
//
// # Rules
//
//	once       the provider completes each request exactly once, and not later
//	           again; IO follows Get and precedes Put
//	range      requests lie within Info().Size (for providers that cannot grow)
//	align      Pos and Len are multiples of Info().Align, Data and Vec fit Len
//	clip       Get may shorten Len but never lengthens it or moves Pos
//	overlap    no two overlapping writes in flight (option)
//	stable     the data of a write does not change while in flight (option)
//	drained    nothing is in flight or pinned when the brick is switched off
//
// A violation is reported through the function given to New, with the rule's
// name in front; the request goes on.
//
// Downstream sees a clone of each request, made for it alone and never reused,
// so that a completion that comes twice is noticed however late it comes.
// That costs memory and time: the brick is not for production.
package check

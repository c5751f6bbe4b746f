// Package mutant holds the list of known mistakes that the test suites have to
// find: a suite that lets one of them live is worth nothing where it matters.
//
// # How it works
//
// Where a mistake could be made the code asks Is(id). In production that is the
// constant false, and the compiler drops the mistake with its condition. Built
// with -tags mutant it is true for the one mutant that the environment variable
// MARS_MUTANT names by its number, so all mutants are in one test binary.
//
// cmd/marsmutants (make mutants) runs, for each mutant, the narrow test that is
// to kill it: once without the mutant, when it must pass, and once with it, when
// it must fail. A mutant that survives fails the run.
//
// # Adding one
//
// A constant here, a line in the table of cmd/marsmutants, and the condition at
// the place of the mistake:
//
//	m.FUA = !mutant.Is(mutant.AckBeforeDurable)
package mutant

// Marsmutants checks that the test suites find known mistakes (see package
// infra/mutant): for each mutant of its table it runs the narrow test that is to
// kill it, without the mutant, when it must pass, and with it, when it must fail.
// It ends with status 1 if a mutant survives, or if a test fails without one.
//
//	marsmutants [-timeout 60s] [-jobs 2] [NUMBER...]
//
// It is run in the directory of the module, by make mutants.
package main

// Package house holds the rules of the house as tests: which package may
// import which (imports only go down), what code above infra/env must not use
// because it would not be deterministic in the simulator, how long files and
// functions may be, and that every package explains itself.
//
// It contains no code for production. A rule is changed here or it stands.
package house

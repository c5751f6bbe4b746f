package tunable

import _ "embed" // for DocFile

// DocFile is the source of this package's documentation, with the table of
// tunables that have no effect: a part of the manual page marsd(8).
//
//go:embed doc.go
var DocFile string

package translog

import _ "embed" // for DocFile

// DocFile is the source of this package's documentation, the format of
// transaction logfiles: the manual page mars-log(5) is made from it.
//
//go:embed doc.go
var DocFile string

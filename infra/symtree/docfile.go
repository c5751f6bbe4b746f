// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import _ "embed" // for DocFile

// DocFile is the source of this package's documentation, the catalogue of
// links: the manual page mars-symlinks(7) is made from it.
//
//go:embed doc.go
var DocFile string

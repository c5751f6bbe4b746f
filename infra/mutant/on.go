//go:build mutant

package mutant

import "os"

// Is tells whether a mutant is active: the one that MARS_MUTANT names.
func Is(id ID) bool { return os.Getenv("MARS_MUTANT") == id.String() }

//go:build !mutant

package mutant

// Is tells whether a mutant is active: never, here.
func Is(ID) bool { return false }

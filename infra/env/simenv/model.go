package simenv

import "fmt"

type strength uint8

const (
	strZero strength = iota
	strOrdered
	strIndependent
)

// CrashModel says what a power cut leaves of the changes that were not made
// durable. Make one with Zero, Ordered or Independent.
type CrashModel struct {
	kind strength
	p    float64
	// SplitRename lets a renamed file appear under both names.
	SplitRename bool
	// Torn is the share of surviving writes that survive in part.
	Torn float64
}

// Zero: nothing survives but what was synced.
func Zero() CrashModel { return CrashModel{kind: strZero} }

// Ordered is like ext4 with ordered data: changes of metadata (entries, sizes)
// survive up to a random point in their order, and a file that has grown has
// its data. Overwritten data and disks survive by chance.
func Ordered() CrashModel { return CrashModel{kind: strOrdered, p: 0.5, Torn: 0.3} }

// Independent lets every unsynced change survive by itself with probability p:
// data, size, each entry. A file may have grown without its data, a later
// entry may be there without an earlier one. Only changes of one name keep
// their order. A quarter of the surviving writes is torn.
func Independent(p float64) CrashModel {
	return CrashModel{kind: strIndependent, p: p, Torn: 0.25}
}

// String names the model for messages.
func (m CrashModel) String() string {
	switch m.kind {
	case strZero:
		return "zero"
	case strOrdered:
		return "ordered"
	}
	return fmt.Sprintf("independent(%v)", m.p)
}

// Models are the models that crash-safe code has to survive.
func Models() []CrashModel {
	return []CrashModel{Zero(), Ordered(), Independent(0.1), Independent(0.5), Independent(0.9)}
}

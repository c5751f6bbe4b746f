// SPDX-License-Identifier: GPL-2.0-or-later

package symtree

import (
	"errors"
	"testing"
)

func TestVerify(t *testing.T) {
	if n, err := ParseVerify(VerifyValue(17, 4)); err != nil || n != [2]int64{17, 4} {
		t.Errorf("%v %v", n, err)
	}
	for _, v := range []string{"", "1", "1,2,3", "1,-2", "a,1", ",", "1,02"} {
		if n, err := ParseVerify(v); !errors.Is(err, ErrValue) || n != [2]int64{} {
			t.Errorf("%q: %v %v", v, n, err)
		}
	}
}

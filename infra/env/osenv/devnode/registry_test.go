// SPDX-License-Identifier: GPL-2.0-or-later

package devnode

import (
	"errors"
	"testing"

	"mars/infra/env"
)

func TestRegistry(t *testing.T) {
	var r Registry[int]
	started := make(chan bool, 9)
	watch := func() { started <- true }
	if err := r.Reserve("../x"); err == nil {
		t.Error("a bad name was taken")
	}
	for _, name := range []string{"b", "a", "c"} {
		if err := r.Reserve(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Reserve("a"); !errors.Is(err, env.ErrExist) {
		t.Errorf("a second a: %v", err)
	}
	if list, more := r.Live(); len(list) != 0 || more {
		t.Errorf("reserved ones are listed: %v", list)
	}
	one, two := 1, 2
	r.Publish("b", &two, watch)
	r.Publish("a", &one, watch)
	<-started
	list, more := r.Live()
	if len(started) != 0 || !more || len(list) != 2 || *list[0] != 1 || *list[1] != 2 {
		t.Errorf("%d further goroutines, %v, %v", len(started), list, more)
	}
	for _, name := range []string{"a", "b", "c"} {
		r.Release(name)
	}
	if _, more := r.Live(); more {
		t.Error("the goroutine does not end")
	}
	if err := r.Reserve("a"); err != nil {
		t.Errorf("a released name: %v", err)
	}
	r.Publish("a", &one, watch)
	<-started
}

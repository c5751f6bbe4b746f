// SPDX-License-Identifier: GPL-2.0-or-later

package devnode

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"mars/infra/env"
)

// Registry are the devices of a process by name. It is safe for concurrent
// use; the zero value is empty.
type Registry[D any] struct {
	mu       sync.Mutex
	names    map[string]*D // nil value: being made or cleaned up
	watching bool
}

// Reserve takes a name for making or cleaning up; Release or Publish end that.
// The error wraps env.ErrExist for a name that is taken.
func (r *Registry[D]) Reserve(name string) error {
	if err := CheckName(name); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, taken := r.names[name]; taken {
		return fmt.Errorf("device %s: %w in this process", name, env.ErrExist)
	}
	if r.names == nil {
		r.names = map[string]*D{}
	}
	r.names[name] = nil
	return nil
}

// Release makes a name free.
func (r *Registry[D]) Release(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.names, name)
}

// Publish makes a device known under its reserved name, and starts watch in a
// goroutine unless that runs. It has to end when Live says so.
func (r *Registry[D]) Publish(name string, d *D, watch func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.names[name] = d
	if !r.watching {
		r.watching = true
		go watch()
	}
}

// Live lists the devices by name; more is false when the watching goroutine has
// to end, for there are none.
func (r *Registry[D]) Live() (list []*D, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(r.names)) {
		if d := r.names[name]; d != nil {
			list = append(list, d)
		}
	}
	r.watching = len(list) > 0
	return list, r.watching
}

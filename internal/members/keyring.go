// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/hashicorp/memberlist"
)

// keyring brings what a ring says into memberlist's keyring. Only the goroutine of Run
// uses it after newKeyring, except for count.
type keyring struct {
	path      string
	ring      ring
	installed *memberlist.Keyring
	count     atomic.Int64 // accepted keys
}

func newKeyring(path string, now time.Duration) (*keyring, error) {
	secret, err := readKeys(path)
	if err != nil {
		return nil, err
	}
	k := &keyring{path: path, ring: startRing(now, secret)}
	keys := k.ring.keys()
	k.installed, err = memberlist.NewKeyring(nil, keys[0][:])
	if err != nil {
		return nil, fmt.Errorf("install memberlist key: %w", err)
	}
	return k, k.install(keys)
}

// follow reads the Secret again and reports whether the keys changed. What cannot be
// read changes nothing, except that the rotation under way goes on.
func (k *keyring) follow(now time.Duration) (changed bool, err error) {
	secret, err := readKeys(k.path)
	if err != nil {
		return false, err
	}
	before := k.ring.keys()
	k.ring = k.ring.follow(now, secret)
	after := k.ring.keys()
	if slices.Equal(before, after) {
		return false, nil
	}
	return true, k.install(after)
}

// install makes the keys, the sending one first, those of memberlist's keyring. RemoveKey
// shifts a slice in place that readers of packets may be walking through; only the removal
// of the last key writes nothing. So the unwanted ones go from the end, and wanted
// ones behind them come back at once.
func (k *keyring) install(keys []key) error {
	for _, one := range keys {
		if err := k.installed.AddKey(slices.Clone(one[:])); err != nil {
			return fmt.Errorf("add memberlist key: %w", err)
		}
	}
	if err := k.installed.UseKey(keys[0][:]); err != nil {
		return fmt.Errorf("use memberlist key: %w", err)
	}
	have := k.installed.GetKeys()
	firstUnwanted := slices.IndexFunc(have, func(h []byte) bool { return !slices.Contains(keys, key(h)) })
	if firstUnwanted > 0 {
		for _, h := range slices.Backward(have[firstUnwanted:]) {
			if err := k.installed.RemoveKey(h); err != nil {
				return fmt.Errorf("remove memberlist key: %w", err)
			}
		}
		for _, h := range have[firstUnwanted:] {
			if !slices.Contains(keys, key(h)) {
				continue
			}
			if err := k.installed.AddKey(h); err != nil {
				return fmt.Errorf("add memberlist key: %w", err)
			}
		}
	}
	k.count.Store(int64(len(keys)))
	return nil
}

// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// key is an AES-256 key.
type key [32]byte

// deriveKey makes a key out of the text of the memberlist Secret exactly as MetalLB does,
// so that speakers of both kinds understand each other during a migration. Its expression
// sha256.New().Sum(secret)[:32] does not hash the secret: it appends the digest of nothing
// to it and cuts, so a secret of 32 bytes or more is used as it is.
func deriveKey(secret []byte) key {
	return key(sha256.New().Sum(slices.Clone(secret))[:len(key{})])
}

// keyPair is what the mounted Secret says: the key to use and, optionally, its predecessor.
type keyPair struct {
	primary  key
	previous *key
}

const (
	keyFile         = "secretkey"
	previousKeyFile = "secretkey-previous"
)

// readKeys reads the Secret from a file, or from the files secretkey and
// secretkey-previous of a directory, which is how a Secret is mounted.
func readKeys(path string) (keyPair, error) {
	info, err := os.Stat(path)
	if err != nil {
		return keyPair{}, fmt.Errorf("read memberlist secret: %w", err)
	}
	primary, previous := path, ""
	if info.IsDir() {
		primary, previous = filepath.Join(path, keyFile), filepath.Join(path, previousKeyFile)
	}
	secret, err := os.ReadFile(primary) //nolint:gosec // the administrator names the file
	if err != nil {
		return keyPair{}, fmt.Errorf("read memberlist secret: %w", err)
	}
	if len(secret) == 0 {
		return keyPair{}, fmt.Errorf("read memberlist secret: %s is empty", primary)
	}
	pair := keyPair{primary: deriveKey(secret)}
	if previous == "" {
		return pair, nil
	}
	secret, err = os.ReadFile(previous) //nolint:gosec // the same
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return keyPair{}, fmt.Errorf("read memberlist secret: %w", err)
	case len(secret) > 0:
		k := deriveKey(secret)
		pair.previous = &k
	}
	return pair, nil
}

// keyDelay is how long after a change of the Secret every speaker must have seen it. The
// kubelet refreshes a mounted Secret within its sync period of 60 s plus jitter, about
// 90 s; the file is read each 10 s. Three minutes leave a margin of 80 s.
const keyDelay = 3 * time.Minute

// ring is the rotation of the key without a gap. It follows the Secret in three steps:
//
//  1. A new key is accepted at once, but messages are still encrypted with the old one,
//     because other nodes may not have seen the change yet.
//  2. After keyDelay everybody accepts the new key, and it is used for sending.
//  3. After another keyDelay nobody sends with the old key, and it is dropped unless the
//     Secret still lists it as secretkey-previous.
//
// A speaker that starts between the steps knows only what the Secret says now. With
// secretkey-previous in the Secret it starts by sending with that one for keyDelay and
// loses nothing; without it, it understands the others only from step 2 on. So a rotation is
// one edit of the Secret that sets both entries. The old one may be removed when no
// speaker has changed or started for ten minutes; left there it does no harm beyond being
// accepted.
type ring struct {
	sending  key
	accepted map[key]acceptance
}

// acceptance says since when a key is accepted, and when it was last wanted: listed in the
// Secret or used for sending.
type acceptance struct{ since, wanted time.Duration }

// startRing is the ring of a speaker that starts.
func startRing(now time.Duration, secret keyPair) ring {
	r := ring{sending: secret.primary, accepted: map[key]acceptance{}}
	if secret.previous != nil {
		r.sending = *secret.previous
	}
	return r.follow(now, secret)
}

// follow returns the ring after the Secret was read. It must be called again every few
// seconds, changed or not; now is any clock that never goes back.
func (r ring) follow(now time.Duration, secret keyPair) ring {
	next := ring{sending: r.sending, accepted: map[key]acceptance{}}
	for k, a := range r.accepted {
		next.accepted[k] = a
	}
	want := func(k key) {
		a, ok := next.accepted[k]
		if !ok {
			a.since = now
		}
		a.wanted = now
		next.accepted[k] = a
	}
	want(secret.primary)
	if secret.previous != nil {
		want(*secret.previous)
	}
	want(next.sending)
	if now-next.accepted[secret.primary].since >= keyDelay {
		next.sending = secret.primary
	}
	for k, a := range next.accepted {
		if now-a.wanted >= keyDelay {
			delete(next.accepted, k)
		}
	}
	return next
}

// keys returns all accepted keys, the one for sending first, the others sorted.
func (r ring) keys() []key {
	keys := []key{r.sending}
	for k := range r.accepted {
		if k != r.sending {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys[1:], func(a, b key) int { return slices.Compare(a[:], b[:]) })
	return keys
}

// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKeyIsMetalLBs(t *testing.T) {
	for _, c := range []struct{ secret, want string }{
		// 22 characters, as MetalLB's controller makes them: the text and the first ten
		// bytes of the SHA-256 of nothing.
		{"abcdefghijklmnopqrstuv", "6162636465666768696a6b6c6d6e6f70717273747576e3b0c44298fc1c149afb"},
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"secret\n", "7365637265740ae3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca4"},
		// 40 characters, as "openssl rand" makes them: cut.
		{"0123456789012345678901234567890123456789", "3031323334353637383930313233343536373839303132333435363738393031"},
	} {
		k := deriveKey([]byte(c.secret))
		if got := hex.EncodeToString(k[:]); got != c.want {
			t.Errorf("key of %q is %s, want %s", c.secret, got, c.want)
		}
	}
}

func TestSecretMistakesAreNamed(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		filepath.Join(dir, "absent"): "no such file",
		empty:                        "is empty",
		dir:                          keyFile + ": no such file",
	} {
		if _, err := readKeys(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error is %v, want it to say %q", path, err, want)
		}
	}
}

func secretOf(primary string, previous ...string) keyPair {
	pair := keyPair{primary: deriveKey([]byte(primary))}
	if len(previous) > 0 {
		k := deriveKey([]byte(previous[0]))
		pair.previous = &k
	}
	return pair
}

func TestKeyRotationTakesThreeSteps(t *testing.T) {
	r := startRing(0, secretOf("old"))
	changed := secretOf("new")
	sending := func(text string, accepted int) {
		t.Helper()
		if r.sending != deriveKey([]byte(text)) || len(r.keys()) != accepted {
			t.Fatalf("sends with %x, accepts %d; want %q and %d", r.sending, len(r.keys()), text, accepted)
		}
	}
	sending("old", 1)
	r = r.follow(time.Hour, changed)
	sending("old", 2)
	r = r.follow(time.Hour+keyDelay-time.Second, changed)
	sending("old", 2)
	r = r.follow(time.Hour+keyDelay, changed)
	sending("new", 2)
	r = r.follow(time.Hour+2*keyDelay-time.Second, changed)
	sending("new", 2)
	r = r.follow(time.Hour+2*keyDelay, changed)
	sending("new", 1)
}

func TestSpeakerThatStartsDuringARotationSendsWhatAllUnderstand(t *testing.T) {
	r := startRing(0, secretOf("new", "old"))
	if r.sending != deriveKey([]byte("old")) || len(r.keys()) != 2 {
		t.Fatalf("sends with %x, accepts %d", r.sending, len(r.keys()))
	}
	r = r.follow(keyDelay, secretOf("new", "old"))
	if r.sending != deriveKey([]byte("new")) {
		t.Errorf("still sends with the old key after %s", keyDelay)
	}
}

// However late each node sees the Secret change, and whoever restarts meanwhile, every
// node can read every other at every moment.
func TestKeyRotationHasNoGap(t *testing.T) {
	const visible = 100 * time.Second // the kubelet's 90 s and our period of 10 s
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 0))
		secrets := []keyPair{secretOf("old"), secretOf("new", "old")}
		restarts := seed%2 == 0
		if !restarts {
			secrets[1] = secretOf("new")
		}
		rings := make([]ring, 5)
		lag := make([]time.Duration, len(rings))
		for i := range rings {
			rings[i] = startRing(0, secrets[0])
			lag[i] = time.Minute + time.Duration(random.Int64N(int64(visible)))
		}
		for now := time.Duration(0); now < 20*time.Minute; now += 10 * time.Second {
			for i := range rings {
				secret := secrets[0]
				if now >= lag[i] {
					secret = secrets[1]
				}
				if restarts && random.IntN(40) == 0 {
					rings[i] = startRing(now, secret)
				} else {
					rings[i] = rings[i].follow(now, secret)
				}
			}
			for i, from := range rings {
				for j, to := range rings {
					if _, ok := to.accepted[from.sending]; !ok {
						t.Fatalf("seed %d at %s: node %d does not understand node %d", seed, now, j, i)
					}
				}
			}
		}
		if !restarts && len(rings[0].keys()) != 1 {
			t.Fatalf("seed %d: %d keys are accepted at the end", seed, len(rings[0].keys()))
		}
	}
}

// installed is what memberlist holds after the Secret was written and followed.
func TestKeyringFollowsTheFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(keyFile, "one")
	k, err := newKeyring(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	installed := func(want ...string) {
		t.Helper()
		keys := k.installed.GetKeys()
		if len(keys) != len(want) || int(k.count.Load()) != len(want) {
			t.Fatalf("%d keys installed, %d counted, want %v", len(keys), k.count.Load(), want)
		}
		for i, w := range want {
			if key(keys[i]) != deriveKey([]byte(w)) {
				t.Fatalf("key %d is %q, want that of %q", i, keys[i], w)
			}
		}
	}
	follow := func(now time.Duration, wantChange bool) {
		t.Helper()
		changed, err := k.follow(now)
		if err != nil || changed != wantChange {
			t.Fatalf("changed %v, %v; want %v", changed, err, wantChange)
		}
	}
	installed("one")
	follow(time.Second, false)
	write(keyFile, "two")
	follow(time.Minute, true)
	installed("one", "two")
	write(keyFile, "three") // a second change before the first is through
	follow(2*time.Minute, true)
	if n := len(k.installed.GetKeys()); n != 3 {
		t.Fatalf("%d keys installed, want 3", n)
	}
	follow(2*time.Minute+keyDelay, true)
	if primary := k.installed.GetPrimaryKey(); key(primary) != deriveKey([]byte("three")) {
		t.Fatalf("sends with %q", primary)
	}
	follow(3*time.Minute+2*keyDelay, true)
	installed("three")
	if err := os.Remove(filepath.Join(dir, keyFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.follow(time.Hour); err == nil {
		t.Error("a missing Secret is no error")
	}
	installed("three")
}

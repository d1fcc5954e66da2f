// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clarion-lb/clarion/internal/lb"
)

// patience bounds every wait. It is long because tests share busy processors; nothing here
// waits for it to pass.
const patience = 20 * time.Second

// speaker is a member in this process, on a loopback address of its own.
type speaker struct {
	*Members
	peer Peer
	stop func() // ends it without a goodbye
}

// loopback returns the address of the i-th speaker. The second and third byte come from
// the process, so that several test runs on a machine do not meet.
func loopback(i int) netip.AddrPort {
	pid := os.Getpid()
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(1 + pid>>8%250), byte(pid), byte(i)}), DefaultPort)
}

func configOf(i int) Config {
	return Config{Node: fmt.Sprintf("n%d", i), Bind: loopback(i)}
}

func start(t *testing.T, c Config) *speaker {
	t.Helper()
	log := slog.New(slog.NewTextHandler(&testWriter{t: t, ctx: t.Context()}, nil)).With("self", c.Node)
	m, err := New(c, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	stopped := false
	s := &speaker{Members: m, peer: Peer{Node: c.Node, Addr: c.Bind}}
	s.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run of %s: %v", c.Node, err)
		}
	}
	t.Cleanup(s.stop)
	return s
}

// testWriter logs to the test while it runs; tries may end a little later.
type testWriter struct {
	t   *testing.T
	ctx context.Context
}

func (w *testWriter) Write(line []byte) (int, error) {
	if w.ctx.Err() == nil {
		w.t.Log(strings.TrimSpace(string(line)))
	}
	return len(line), nil
}

// until waits for a view by kicks, as the speaker's loop does. The tick only covers the
// staleness that no kick announces.
func (s *speaker) until(t *testing.T, what string, ok func(lb.View) bool) lb.View {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		v := s.View()
		if ok(v) {
			return v
		}
		select {
		case <-s.Changed():
		case <-deadline.C:
			t.Fatalf("%s: waited %s for %s, have %+v %+v", s.peer.Node, patience, what, v, s.Observe())
		}
	}
}

func members(names ...string) func(lb.View) bool {
	return func(v lb.View) bool { return v.Known && slices.Equal(v.Members, names) }
}

// cluster starts n speakers that know each other and waits until all agree.
func cluster(t *testing.T, n int, configure func(*Config)) []*speaker {
	t.Helper()
	var all []*speaker
	var peers []Peer
	var names []string
	for i := range n {
		c := configOf(i + 1)
		configure(&c)
		all = append(all, start(t, c))
		peers = append(peers, all[i].peer)
		names = append(names, c.Node)
	}
	for _, s := range all {
		s.SetPeers(peers)
	}
	for _, s := range all {
		s.until(t, "everybody", members(names...))
	}
	return all
}

func plain(*Config) {}

func TestSpeakersFindEachOther(t *testing.T) {
	cluster(t, 4, plain)
}

func TestDeadSpeakerLeavesEveryView(t *testing.T) {
	all := cluster(t, 4, plain)
	all[1].stop()
	for _, s := range []*speaker{all[0], all[2], all[3]} {
		s.until(t, "n2 gone", members("n1", "n3", "n4"))
	}
}

func TestRestartedSpeakerComesBack(t *testing.T) {
	all := cluster(t, 3, plain)
	all[1].stop()
	all[0].until(t, "n2 gone", members("n1", "n3"))
	again := start(t, configOf(2))
	again.SetPeers([]Peer{all[0].peer, all[2].peer})
	again.until(t, "everybody", members("n1", "n2", "n3"))
	all[0].until(t, "n2 back", members("n1", "n2", "n3"))
}

func TestViewIsUnknownUntilPeersAreKnown(t *testing.T) {
	s := start(t, configOf(1))
	if v := s.View(); v.Known || s.Fresh() {
		t.Fatalf("view of a new speaker is %+v, fresh %v", v, s.Fresh())
	}
	s.SetPeers(nil)
	s.until(t, "alone", members("n1"))
	if !s.Fresh() {
		t.Error("a speaker that is alone may not speak")
	}
}

func TestSpeakerWhosePeersAreAllDeadWaitsForTheGraceTime(t *testing.T) {
	s := start(t, configOf(1))
	began := time.Now()
	s.SetPeers([]Peer{{Node: "n2", Addr: loopback(2)}, {Node: "n3"}})
	s.until(t, "alone", members("n1"))
	if waited := time.Since(began); waited < grace {
		t.Errorf("took over after %s, before the grace time of %s", waited, grace)
	}
}

func TestNodeWithoutLinkDoesNotCountItself(t *testing.T) {
	all := cluster(t, 3, plain)
	all[0].SetLinkUp(false)
	if v := all[0].View(); !v.Known || slices.Contains(v.Members, "n1") || all[0].Fresh() {
		t.Fatalf("view without link is %+v", v)
	}
	all[0].SetLinkUp(true)
	if v := all[0].View(); slices.Contains(v.Members, "n1") {
		t.Fatalf("counted itself before a peer answered: %+v", v)
	}
	all[0].until(t, "itself again", members("n1", "n2", "n3"))
}

func TestLeavingIsKnownWithoutDetection(t *testing.T) {
	// With WAN parameters a death takes half a minute to be noticed; a goodbye does not.
	all := cluster(t, 3, func(c *Config) { c.WAN = true })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := all[2].Leave(ctx); err != nil {
		t.Fatal(err)
	}
	if all[2].Fresh() {
		t.Error("a speaker that has left may still speak")
	}
	all[0].until(t, "n3 gone", members("n1", "n2"))
	all[1].until(t, "n3 gone", members("n1", "n2"))
	all[2].until(t, "itself gone", members("n1", "n2"))
}

func TestEncryptedSpeakersIgnoreStrangers(t *testing.T) {
	secret := func(text string) string {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, keyFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	ours := secret("abcdefghijklmnopqrstuv")
	all := cluster(t, 2, func(c *Config) { c.KeyPath = ours })
	c := configOf(3)
	c.KeyPath = secret("another")
	stranger := start(t, c)
	stranger.SetPeers([]Peer{all[0].peer, all[1].peer})
	stranger.until(t, "alone", members("n3"))
	if v := all[0].View(); !members("n1", "n2")(v) {
		t.Errorf("a stranger came in: %+v", v)
	}
	if got := all[0].Observe().Keys; got != 1 {
		t.Errorf("%d keys accepted, want 1", got)
	}
}

func TestSpeakerWaitsForItsAddress(t *testing.T) {
	first := start(t, configOf(1))
	first.SetPeers(nil)
	first.until(t, "alone", members("n1"))
	second := start(t, configOf(1)) // the pod of a rolling update, a moment too early
	second.SetPeers(nil)
	for second.Observe().Error == "" {
		<-time.After(time.Millisecond)
	}
	if v := second.View(); v.Known {
		t.Errorf("view without a socket is %+v", v)
	}
	first.stop()
	second.until(t, "alone", members("n1"))
}

func TestMembershipOffMeansEverybody(t *testing.T) {
	s := start(t, Config{Node: "n1"})
	if v := s.View(); !v.Known || !v.All || !s.Fresh() {
		t.Errorf("view is %+v", v)
	}
}

func TestAwakeFreshAndFencesAreIndependent(t *testing.T) {
	const long = -time.Minute
	for name, c := range map[string]struct {
		beat               time.Duration // from now
		proof              proof
		left               bool
		fresh, awake, self bool
	}{
		"in good standing":                {0, proven, false, true, true, true},
		"set up again":                    {0, rebuilding, false, true, true, true},
		"starting":                        {0, starting, false, false, true, false},
		"fenced":                          {0, fenced, false, false, true, false},
		"has left":                        {0, proven, true, false, true, false},
		"stands still":                    {long, proven, false, false, false, false},
		"stands still and has left":       {long, proven, true, false, false, false},
		"stands still just long enough":   {-Unnoticed - time.Millisecond, proven, false, false, false, false},
		"nobody can have found it gone":   {-Unnoticed / 2, proven, false, true, true, true},
		"fenced, and stands still anyway": {long, fenced, false, false, false, false},
	} {
		config := configOf(1)
		config.Watch = true
		m, err := New(config, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		m.standing.proof, m.standing.left = c.proof, c.left
		m.settle()
		m.beat.Store(int64(clock() + c.beat))
		if m.Fresh() != c.fresh || m.Awake() != c.awake || slices.Contains(m.View().Members, "n1") != c.self || m.Fences() != 0 {
			t.Errorf("%s: fresh %v, awake %v, view %v, fences %d", name, m.Fresh(), m.Awake(), m.View().Members, m.Fences())
		}
	}
}

func TestProcessThatStoodStillAsksBeforeItCountsItself(t *testing.T) {
	all := cluster(t, 3, plain)
	all[0].beat.Store(int64(clock() - time.Minute)) // as if it had been stopped since then
	all[0].until(t, "itself again", func(v lb.View) bool {
		return all[0].Observe().Stalls == 1 && members("n1", "n2", "n3")(v)
	})
	if !all[0].Fresh() {
		t.Error("may not speak although a peer answered")
	}
}

// The words by which memberlist tells of a denial are its own, so this needs the real one.
func TestDeathThatIsDeniedFences(t *testing.T) {
	all := cluster(t, 3, plain)
	fences := all[0].Fences()
	conn, err := net.Dial("udp", all[0].peer.Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	// A dead message as memberlist sends it: the type, and a map of three in MessagePack.
	dead := "\x05\x83\xabIncarnation\xce\x00\x10\x00\x00\xa4Node\xa2n1\xa4From\xa2n2"
	if _, err := conn.Write([]byte(dead)); err != nil {
		t.Fatal(err)
	}
	all[0].until(t, "itself again", func(v lb.View) bool {
		return all[0].Observe().Refuted == 1 && members("n1", "n2", "n3")(v) && all[0].Fresh()
	})
	if got := all[0].Fences() - fences; got != 1 {
		t.Errorf("%d fences, want 1", got)
	}
}

func TestNodeThatDoesNotCountItselfIsNoCandidateOfOthers(t *testing.T) {
	all := cluster(t, 3, plain)
	eth0 := lb.Usable{IPv4: []string{"eth0"}}
	all[0].SetInterfaces(eth0)
	told := func(want lb.Usable) func(lb.View) bool {
		return func(v lb.View) bool {
			got, known := v.Interfaces["n1"]
			return known && got.Equal(want) && members("n1", "n2", "n3")(v)
		}
	}
	all[1].until(t, "its interface", told(eth0))
	all[0].update(func(s *standing) { s.fence(clock()); s.until = clock() + patience })
	all[1].until(t, "none while it is fenced", told(lb.Usable{}))
	all[0].update(func(s *standing) { s.until = 0 })
	all[1].until(t, "its interface again", told(eth0))
}

func TestGrowingClusterGetsSlowerParametersUnnoticed(t *testing.T) {
	name := "n1"
	for spread(name, settlePeriod) > 100*time.Millisecond { // a node whose turn comes soon
		name += "x"
	}
	c := configOf(1)
	c.Node = name
	grows, stays := start(t, c), start(t, configOf(2))
	grows.SetPeers([]Peer{stays.peer})
	stays.SetPeers([]Peer{grows.peer})
	grows.until(t, "both", members(name, "n2"))
	stays.until(t, "both", members(name, "n2"))
	listed := []Peer{stays.peer}
	for i := range 40 {
		listed = append(listed, Peer{Node: fmt.Sprintf("without-address-%d", i)})
	}
	grows.SetPeers(listed)
	for deadline := time.Now().Add(patience); ; <-time.After(time.Millisecond) {
		if v := grows.View(); !members(name, "n2")(v) {
			t.Fatalf("view changed to %+v", v)
		}
		if o := grows.Observe(); o.Resizes == 1 && o.Proof == "proven" && o.Size == Medium {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("observed %+v", o)
		}
	}
	if gone := stays.Observe().Gone; gone != 0 {
		t.Errorf("the other speaker lost it %d times", gone)
	}
}

func TestSpeakersInAllStepsOfAKeyRotationUnderstandEachOther(t *testing.T) {
	secret := func(primary, previous string) string {
		dir := t.TempDir()
		for file, text := range map[string]string{keyFile: primary, previousKeyFile: previous} {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	before, during := secret("old", ""), secret("new", "old")
	cluster(t, 3, func(c *Config) {
		c.KeyPath = before
		if c.Node == "n2" {
			c.KeyPath = during // it started after the Secret changed
		}
	})
}

func TestConfigurationMistakesAreNamed(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "config.json")
	if err := os.WriteFile(bad, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"the node has no name":          func(c *Config) { c.Node = "" },
		":: is no address of this node": func(c *Config) { c.Bind = netip.MustParseAddrPort("[::]:7946") },
		"no such file":                  func(c *Config) { c.KeyPath = "/nowhere" },
		"missing TCPTimeout":            func(c *Config) { c.FilePath = bad },
	} {
		c := configOf(1)
		change(&c)
		if _, err := New(c, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want it to say %q", err, want)
		}
	}
}

// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"maps"
	"reflect"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarion-lb/clarion/internal/lb"
)

// peerTable compiles the BGPPeers together with their passwords and BFD profiles.
type peerTable struct {
	peers    memo[peer]
	profiles memo[profile]
	secrets  memo[password]
	listed   bool
	unread   map[string]string

	out      []lb.Peer
	problems []lb.Problem
}

// password is what a BGPPeer can take from a Secret.
type password struct {
	basicAuth bool
	found     bool
	text      lb.Secret
}

func compileSecret(in *corev1.Secret) password {
	text, found := in.Data[corev1.BasicAuthPasswordKey]
	return password{basicAuth: in.Type == corev1.SecretTypeBasicAuth, found: found, text: lb.Secret(text)}
}

func equalSecrets(a, b *password) bool { return *a == *b }

// update brings the table up to date and says whether any result may have changed.
func (t *peerTable) update(o *Objects, nodes []lb.Node, nodesChanged bool) bool {
	peers := update(&t.peers, o.BGPPeers, compilePeer, equalPeers)
	profiles := update(&t.profiles, o.BFDProfiles, compileProfile, equalProfiles)
	secrets := update(&t.secrets, o.Secrets, compileSecret, equalSecrets)
	sameSecrets := len(secrets) == 0 && t.listed == o.SecretsListed && maps.Equal(t.unread, o.UnreadSecrets)
	if len(peers)+len(profiles) == 0 && sameSecrets && !nodesChanged {
		return false
	}
	t.listed, t.unread = o.SecretsListed, o.UnreadSecrets
	t.rebuild(nodes)
	return true
}

// rebuild looks at the peers in the order of their age, so that a new peer never takes the name
// of an old one. Which of two with the same session is served is decided node by node, by
// bgp.Serve; here it is only told.
func (t *peerTable) rebuild(nodes []lb.Node) {
	byAge := make([]*peer, 0, len(t.peers.order))
	for _, e := range t.peers.order {
		byAge = append(byAge, &e.val)
	}
	slices.SortFunc(byAge, func(a, b *peer) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.peer.Name, b.peer.Name), a.key.Compare(b.key))
	})
	t.out, t.problems = make([]lb.Peer, 0, len(byAge)), nil
	for _, e := range t.profiles.order {
		t.problems = append(t.problems, e.val.problems...)
	}
	var keys []lb.Key // of t.out
	for _, p := range byAge {
		r := &report{kind: "BGPPeer", key: p.key, problems: slices.Clone(p.problems)}
		out := p.peer
		usable := !p.rejected && t.addPassword(r, p, &out)
		if usable {
			t.addBFD(r, p, &out)
			usable = notTaken(r, &out, t.out)
		}
		if usable {
			t.out, keys = append(t.out, out), append(keys, p.key)
		}
		t.problems = append(t.problems, r.problems...)
	}
	t.problems = append(t.problems, clashes(t.out, keys, nodes)...)
	slices.SortFunc(t.out, func(a, b lb.Peer) int { return cmp.Compare(a.Name, b.Name) })
}

// addPassword reads the password from the Secret, which must be in the namespace of the peer.
// It says whether the session can be opened; while the Secrets are unknown it cannot.
func (t *peerTable) addPassword(r *report, p *peer, out *lb.Peer) bool {
	if p.secret == "" {
		return true
	}
	if !t.listed {
		return false
	}
	const path = "spec.passwordSecret"
	key := lb.Key{Namespace: p.key.Namespace, Name: p.secret}
	if why, unread := t.unread[p.secret]; unread {
		if why != "" {
			r.reject(path, "secret %s cannot be read: %s", key, why)
		}
		return false
	}
	e, exists := t.secrets.byKey[key]
	before := len(r.problems)
	switch {
	case !exists:
		r.reject(path, "secret %s does not exist; create it with type %s and the key %q", key, corev1.SecretTypeBasicAuth, corev1.BasicAuthPasswordKey)
	case !e.val.basicAuth:
		r.reject(path, "secret %s is not of type %s; create it anew with that type", key, corev1.SecretTypeBasicAuth)
	case !e.val.found || e.val.text == "":
		r.reject(path, "secret %s has no password; put it under the key %q", key, corev1.BasicAuthPasswordKey)
	default:
		checkPassword(r, path, e.val.text)
		out.Password = e.val.text
	}
	return len(r.problems) == before
}

// addBFD adds the profile. A session whose profile is missing goes on without BFD, rather than
// withdrawing every route for the loss of a refinement.
func (t *peerTable) addBFD(r *report, p *peer, out *lb.Peer) {
	if p.profile == "" {
		return
	}
	const path = "spec.bfdProfile"
	e, exists := t.profiles.byKey[lb.Key{Namespace: p.key.Namespace, Name: p.profile}]
	if !exists {
		r.field(path, "there is no BFDProfile %q; create it, until then the session runs without BFD", p.profile)
		return
	}
	bfd := e.val.profile
	if bfd.EchoMode && (out.MultiHop || out.Unnumbered() || lb.FamilyOf(out.Address) == lb.IPv6) {
		r.field(path, "profile %q has echoMode, which works for neither IPv6 nor multihop sessions; use one without, until then no echo packets are sent", p.profile)
		bfd.EchoMode = false
	}
	out.BFD = &bfd
}

// notTaken says whether no older peer has the same name.
func notTaken(r *report, p *lb.Peer, older []lb.Peer) bool {
	taken := slices.ContainsFunc(older, func(o lb.Peer) bool { return o.Name == p.Name })
	if taken {
		r.reject("metadata.name", "an older peer has this name already; rename or delete one of them")
	}
	return !taken
}

// shareNode says whether two lists of node selectors, of which an empty one selects every
// node, have a node in common. Where no nodes are known, only what is certain counts.
func shareNode(a, b lb.Selectors, nodes []lb.Node) bool {
	if len(nodes) == 0 {
		return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b)
	}
	return slices.ContainsFunc(nodes, func(n lb.Node) bool {
		return (len(a) == 0 || a.MatchesAny(n.Labels)) && (len(b) == 0 || b.MatchesAny(n.Labels))
	})
}

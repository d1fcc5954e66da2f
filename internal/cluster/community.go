// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"reflect"
	"slices"
	"time"

	"github.com/clarion-lb/clarion/api/v1beta1"
	"github.com/clarion-lb/clarion/internal/lb"
)

// community is one Community object compiled.
type community struct {
	key      lb.Key
	created  time.Time
	aliases  []alias
	problems []lb.Problem
}

type alias struct {
	name, field string
	value       lb.Community
}

func equalCommunities(a, b *community) bool { return reflect.DeepEqual(a, b) }

func compileCommunity(in *v1beta1.Community) community {
	r := newReport("Community", in)
	out := community{key: r.key, created: in.CreationTimestamp.Time}
	for i, c := range in.Spec.Communities {
		path := index("spec.communities", i)
		value, err := lb.ParseCommunity(c.Value)
		switch {
		case err != nil:
			r.field(path+".value", "%v; write for example 65000:100 or large:65000:1:2", err)
		case c.Name == "":
			r.field(path+".name", "the community has no name; give it one or remove it")
		default:
			out.aliases = append(out.aliases, alias{c.Name, path + ".name", value})
		}
	}
	out.problems = r.problems
	return out
}

// aliasesOf collects the names of communities. Of two with one name the older object's counts.
func aliasesOf(objects []*entry[community]) (map[string]lb.Community, []lb.Problem) {
	byAge := make([]*community, 0, len(objects))
	for _, e := range objects {
		byAge = append(byAge, &e.val)
	}
	slices.SortFunc(byAge, func(a, b *community) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.key.Name, b.key.Name), a.key.Compare(b.key))
	})
	aliases := map[string]lb.Community{}
	owner := map[string]lb.Key{}
	var problems []lb.Problem
	for _, c := range byAge {
		r := &report{kind: "Community", key: c.key, problems: slices.Clone(c.problems)}
		for _, a := range c.aliases {
			if other, taken := owner[a.name]; taken {
				r.field(a.field, "%q is a name in Community %s already, and that one counts; rename or remove it", a.name, other)
				continue
			}
			aliases[a.name], owner[a.name] = a.value, c.key
		}
		problems = append(problems, r.problems...)
	}
	return aliases, problems
}

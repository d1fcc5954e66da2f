// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package story

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// auditPolicy has the API server note what Clarion's accounts ask for, and nothing else.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
  users: ["system:serviceaccount:metallb-system:controller", "system:serviceaccount:metallb-system:speaker"]
- level: None
`

// rights is the proof that config/rbac grants what Clarion needs and no more: the log of what the
// accounts did during all stories, to be compared with their roles.
type rights struct {
	dir string
}

func newRights() (r rights, err error) {
	if r.dir, err = os.MkdirTemp("", "clarion-audit-"); err != nil {
		return r, fmt.Errorf("make room for the audit log: %w", err)
	}
	if err := os.WriteFile(r.policy(), []byte(auditPolicy), 0o600); err != nil {
		return r, fmt.Errorf("write audit policy: %w", err)
	}
	return r, nil
}

func (r rights) policy() string { return filepath.Join(r.dir, "policy.yaml") }
func (r rights) log() string    { return filepath.Join(r.dir, "log") }

// args are what the API server needs to write the log.
func (r rights) args() []string {
	return []string{
		"apiserver=--audit-policy-file=" + r.policy(), "apiserver=--audit-log-path=" + r.log(),
		"apiserver=--audit-log-maxsize=2000", // megabytes; after that it would be in two files
	}
}

func (r rights) close() { _ = os.RemoveAll(r.dir) }

// right is a verb that an account may use, or has used, on a resource.
type right struct {
	account, verb, group, resource string // resource may be "services/status"
	namespace, name                string // "" for all
}

func (r right) String() string {
	out := fmt.Sprintf("%s: %s %s", r.account, r.verb, strings.TrimSuffix(r.resource+"."+r.group, "."))
	if r.name != "" {
		out += " " + r.name
	}
	return out
}

// covers says whether having a right is enough for what was done.
func (r right) covers(did right) bool {
	return r.account == did.account && r.verb == did.verb && r.group == did.group && r.resource == did.resource &&
		(r.namespace == "" || r.namespace == did.namespace) && (r.name == "" || r.name == did.name)
}

// rare are rights for what no story can bring about at will. Every other right must be used.
var rare = []right{
	// After a write that got no answer.
	{account: "controller", verb: "get", resource: "services"},
}

// provoked are the refusals that stories cause on purpose.
var provoked = []right{
	{account: "speaker", verb: "watch", resource: "secrets", namespace: labctl.Namespace, name: unlistedSecret},
	{account: "speaker", verb: "list", resource: "secrets", namespace: labctl.Namespace, name: unlistedSecret},
}

// check compares what was done with what was allowed, in both directions; the second one, that
// nothing is granted in vain, only when all stories were told. Otherwise it says what is left.
func (r rights) check(ctx context.Context, whole bool) error {
	granted, err := grantedRights(ctx)
	if err != nil {
		return err
	}
	used, refused, err := r.read()
	if err != nil {
		return err
	}
	if len(used) == 0 {
		return errors.New("the audit log shows nothing that Clarion did")
	}
	var errs []error
	for _, did := range refused {
		// A server that starts refuses everything until it has read the roles.
		if !covered(granted, did) && !covered(provoked, did) {
			errs = append(errs, fmt.Errorf("refused, because no role allows it: %s", did))
		}
	}
	var vain []string
	for _, g := range granted {
		if !slices.ContainsFunc(used, g.covers) && !slices.Contains(rare, g) && !listOfWatched(g, used) {
			vain = append(vain, g.String())
		}
	}
	switch {
	case len(vain) == 0:
	case whole:
		errs = append(errs, fmt.Errorf("granted by config/rbac and never used:\n  %s", strings.Join(vain, "\n  ")))
	default:
		fmt.Fprintf(os.Stderr, "rights that these stories did not use:\n  %s\n", strings.Join(vain, "\n  "))
	}
	return errors.Join(errs...)
}

// listOfWatched says whether a right is that to list what is watched, which shows the same. A watch
// of this API server begins with what is there; with older ones, a list comes first.
func listOfWatched(g right, used []right) bool {
	if g.verb != "list" {
		return false
	}
	g.verb = "watch"
	return slices.ContainsFunc(used, g.covers)
}

func covered(by []right, did right) bool {
	return slices.ContainsFunc(by, func(g right) bool { return g.covers(did) })
}

// grantedRights lists what the installed roles allow, one verb on one resource each.
func grantedRights(ctx context.Context) ([]right, error) {
	out, err := lab.Kubectl(ctx, "get", "clusterroles,roles,clusterrolebindings,rolebindings", "-A", "-l", "app=metallb", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list struct {
		Items []struct {
			Kind     string
			Metadata struct{ Name, Namespace string }
			Rules    []rbacv1.PolicyRule
			RoleRef  rbacv1.RoleRef
			Subjects []rbacv1.Subject
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, fmt.Errorf("read roles: %w", err)
	}
	var all []right
	for _, binding := range list.Items {
		for _, role := range list.Items {
			if role.Kind != binding.RoleRef.Kind || role.Metadata.Name != binding.RoleRef.Name || role.Metadata.Namespace != binding.Metadata.Namespace {
				continue
			}
			for _, subject := range binding.Subjects {
				for _, rule := range role.Rules {
					all = append(all, rightsOf(rule, right{account: subject.Name, namespace: binding.Metadata.Namespace})...)
				}
			}
		}
	}
	return all, nil
}

func rightsOf(rule rbacv1.PolicyRule, of right) (out []right) {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	for _, of.group = range rule.APIGroups {
		for _, of.resource = range rule.Resources {
			for _, of.verb = range rule.Verbs {
				for _, of.name = range names {
					out = append(out, of)
				}
			}
		}
	}
	return out
}

// read returns what the log says was allowed and refused, each once.
func (r rights) read() (used, refused []right, err error) {
	file, err := os.Open(r.log())
	if err != nil {
		return nil, nil, fmt.Errorf("read audit log: %w", err)
	}
	defer func() { _ = file.Close() }() // only read
	decided := map[right]map[string]bool{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var e struct {
			Verb        string
			User        struct{ Username string }
			ObjectRef   struct{ APIGroup, Resource, Subresource, Namespace, Name string }
			RequestURI  string
			Annotations map[string]string
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			continue // a server that was killed may leave half a line
		}
		o := e.ObjectRef
		did := right{
			account: e.User.Username[strings.LastIndex(e.User.Username, ":")+1:], verb: e.Verb, group: o.APIGroup,
			resource: cmp.Or(o.Resource, e.RequestURI), namespace: o.Namespace, name: o.Name,
		}
		if o.Subresource != "" {
			did.resource += "/" + o.Subresource
		}
		if decided[did] == nil {
			decided[did] = map[string]bool{}
		}
		decided[did][e.Annotations["authorization.k8s.io/decision"]] = true
	}
	for did, how := range decided {
		if how["allow"] {
			used = append(used, did)
		}
		if how["forbid"] {
			refused = append(refused, did)
		}
	}
	slices.SortFunc(refused, func(a, b right) int { return cmp.Compare(a.String(), b.String()) })
	return used, refused, lines.Err()
}

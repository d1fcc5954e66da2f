// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package upgrade

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// migrates checks that the ConfigMap of MetalLB up to 0.12 becomes objects, which are applied on
// request. Applying them again changes nothing.
func (c *cluster) migrates(t *testing.T) {
	t.Helper()
	plugin := filepath.Join(c.Root, "bin", "kubectl-clarion")
	if _, err := os.Stat(plugin); err != nil {
		t.Fatalf("find the plugin: %v; build it with `make build`", err)
	}
	if err := os.Symlink(plugin, filepath.Join(c.dir, "kubectl-clarion")); err != nil {
		t.Fatal(err)
	}
	c.write(t, "old.yaml", `
address-pools:
- {name: migrated, protocol: bgp, addresses: [203.0.113.0/24], bgp-advertisements: [{localpref: 7}]}
peers:
- {my-asn: 64500, peer-asn: 64510, peer-address: 192.168.100.3}
`, 0o600)
	c.run(t, "kubectl -n metallb-system create configmap config --from-file=config=old.yaml")
	out, err := c.shell(t, "kubectl clarion migrate > objects.yaml; kubectl -n metallb-system diff -f objects.yaml > /dev/null")
	if err == nil {
		t.Errorf("printing has changed the cluster: %s", out)
	}
	c.run(t, "kubectl clarion migrate --apply; kubectl clarion migrate --apply; kubectl -n metallb-system diff -f objects.yaml")
	for what, want := range map[string]string{
		"ipaddresspool/migrated": "203.0.113.0/24", "bgpadvertisement/migrated": "localPref: 7", "bgppeer/peer-192-168-100-3": "peerASN: 64510",
	} {
		if got := c.kubectl(t, "-n", system, "get", what, "-o", "yaml"); !strings.Contains(got, want) {
			t.Errorf("%s lacks %q:\n%s", what, want, got)
		}
	}
}

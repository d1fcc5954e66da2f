// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package realnode

import (
	"fmt"
	"os/exec"
	"strings"
)

// networkPlugin is in a directory that is in nobody's search path.
const networkPlugin = "/usr/lib/cni/ptp"

// CheckTools names the Debian packages of missing programs.
func CheckTools() error {
	var missing []string
	for program, pkg := range map[string]string{
		"containerd": "containerd", "ctr": "containerd", "runc": "runc", busybox: "busybox-static", networkPlugin: "containernetworking-plugins",
	} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("missing programs for --runtime containerd; run: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
	}
	return nil
}

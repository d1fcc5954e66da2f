// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// nonRootUser is who a container runs as that must not be root and does not
// say who it is: in a real cluster the image decides, and images of single
// static programs use this number.
const nonRootUser = 65532

// capabilityNames are the kernel's capabilities in the order of their numbers.
func capabilityNames() []string {
	return strings.Fields(`CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE
		NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE
		SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL
		SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE`)
}

// defaultCapabilities are what container runtimes give by default.
func defaultCapabilities() []string {
	return strings.Fields(`CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE
		SYS_CHROOT KILL AUDIT_WRITE`)
}

// Security is what a container's and its pod's security contexts add up to.
type Security struct {
	UID, GID     int
	Groups       []int
	Capabilities uint64 // bit N is capability N; a user other than root can use none of them
	NoNewPrivs   bool
	ReadOnlyRoot bool
	Privileged   bool
}

// SecurityOf merges the two contexts; the container's wins.
func SecurityOf(p *corev1.Pod, c *corev1.Container) (Security, error) {
	ps, cs := p.Spec.SecurityContext, c.SecurityContext
	if ps == nil {
		ps = &corev1.PodSecurityContext{}
	}
	if cs == nil {
		cs = &corev1.SecurityContext{}
	}
	user, group := pick(cs.RunAsUser, ps.RunAsUser), pick(cs.RunAsGroup, ps.RunAsGroup)
	nonRoot := isTrue(pick(cs.RunAsNonRoot, ps.RunAsNonRoot))
	var s Security
	switch {
	case user != nil:
		s.UID = int(*user)
	case nonRoot:
		s.UID = nonRootUser
	}
	if nonRoot && s.UID == 0 {
		return s, errors.New("runAsNonRoot is set but runAsUser is 0")
	}
	if group != nil {
		s.GID = int(*group)
	}
	for _, g := range ps.SupplementalGroups {
		s.Groups = append(s.Groups, int(g))
	}
	if ps.FSGroup != nil {
		s.Groups = append(s.Groups, int(*ps.FSGroup))
	}
	s.Privileged = isTrue(cs.Privileged)
	s.ReadOnlyRoot = isTrue(cs.ReadOnlyRootFilesystem)
	s.NoNewPrivs = cs.AllowPrivilegeEscalation != nil && !*cs.AllowPrivilegeEscalation
	var err error
	s.Capabilities, err = capabilities(cs.Capabilities, s.Privileged)
	return s, err
}

func capabilities(c *corev1.Capabilities, privileged bool) (uint64, error) {
	names := capabilityNames()
	all := uint64(1)<<len(names) - 1
	if privileged {
		return all, nil
	}
	var set uint64
	for _, d := range defaultCapabilities() {
		set |= 1 << slices.Index(names, d)
	}
	if c == nil {
		return set, nil
	}
	for _, step := range []struct {
		list []corev1.Capability
		do   func(uint64)
	}{
		// As in container runtimes, all drops come before all adds.
		{c.Drop, func(m uint64) { set &^= m }},
		{c.Add, func(m uint64) { set |= m }},
	} {
		for _, n := range step.list {
			name := strings.TrimPrefix(strings.ToUpper(string(n)), "CAP_")
			i := slices.Index(names, name)
			switch {
			case name == "ALL":
				step.do(all)
			case i < 0:
				return 0, fmt.Errorf("unknown capability %q", n)
			default:
				step.do(1 << i)
			}
		}
	}
	return set, nil
}

func pick[T any](container, pod *T) *T {
	if container != nil {
		return container
	}
	return pod
}

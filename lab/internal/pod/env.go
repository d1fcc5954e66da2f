// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Facts are what a pod may refer to besides its own object.
type Facts struct {
	PodIPs, HostIPs []netip.Addr
	APIService      netip.Addr // ClusterIP of the Service "kubernetes"
	// ConfigMaps and Secrets by name; a missing one is not there.
	ConfigMaps map[string]map[string]string
	Secrets    map[string]map[string][]byte
}

// defaultPath is the search path that most images set.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Environment returns a container's environment as KEY=value, sorted. Later
// sources win over earlier ones: the image's and the cluster's own variables,
// envFrom, env.
func Environment(p *corev1.Pod, c *corev1.Container, f Facts) ([]string, error) {
	hostname := p.Name
	if p.Spec.HostNetwork {
		hostname = p.Spec.NodeName
	}
	api := f.APIService.String()
	vars := map[string]string{
		"PATH": defaultPath, "HOSTNAME": hostname, "HOME": "/",
		"KUBERNETES_SERVICE_HOST": api, "KUBERNETES_SERVICE_PORT": "443", "KUBERNETES_SERVICE_PORT_HTTPS": "443",
	}
	for _, from := range c.EnvFrom {
		if err := envFrom(vars, from, f); err != nil {
			return nil, err
		}
	}
	for _, e := range c.Env {
		value, ok := expand(e.Value, vars), true
		if e.ValueFrom != nil {
			var err error
			if value, ok, err = valueFrom(p, c, e.ValueFrom, f); err != nil {
				return nil, fmt.Errorf("variable %s: %w", e.Name, err)
			}
		}
		if ok {
			vars[e.Name] = value
		}
	}
	out := make([]string, 0, len(vars))
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		out = append(out, k+"="+vars[k])
	}
	return out, nil
}

func envFrom(vars map[string]string, from corev1.EnvFromSource, f Facts) error {
	if r := from.ConfigMapRef; r != nil {
		data, ok := f.ConfigMaps[r.Name]
		if !ok && !isTrue(r.Optional) {
			return fmt.Errorf("configmap %q not found", r.Name)
		}
		for k, v := range data {
			vars[from.Prefix+k] = v
		}
	}
	if r := from.SecretRef; r != nil {
		data, ok := f.Secrets[r.Name]
		if !ok && !isTrue(r.Optional) {
			return fmt.Errorf("secret %q not found", r.Name)
		}
		for k, v := range data {
			vars[from.Prefix+k] = string(v)
		}
	}
	return nil
}

// valueFrom resolves one reference; ok is false for an optional one that leads
// nowhere: such a variable is not set at all.
func valueFrom(p *corev1.Pod, c *corev1.Container, s *corev1.EnvVarSource, f Facts) (v string, ok bool, err error) {
	switch {
	case s.FieldRef != nil:
		v, err = Field(p, s.FieldRef.FieldPath, f)
		return v, err == nil, err
	case s.ResourceFieldRef != nil:
		v, err = resourceField(c, s.ResourceFieldRef)
		return v, err == nil, err
	case s.ConfigMapKeyRef != nil:
		r := s.ConfigMapKeyRef
		if v, ok = f.ConfigMaps[r.Name][r.Key]; !ok && !isTrue(r.Optional) {
			err = fmt.Errorf("key %q of configmap %q not found", r.Key, r.Name)
		}
		return v, ok, err
	case s.SecretKeyRef != nil:
		r := s.SecretKeyRef
		b, ok := f.Secrets[r.Name][r.Key]
		if !ok && !isTrue(r.Optional) {
			err = fmt.Errorf("key %q of secret %q not found", r.Key, r.Name)
		}
		return string(b), ok, err
	}
	return "", false, fmt.Errorf("unsupported source")
}

// Field resolves a downward API field of a pod.
func Field(p *corev1.Pod, path string, f Facts) (string, error) {
	switch path {
	case "metadata.name":
		return p.Name, nil
	case "metadata.namespace":
		return p.Namespace, nil
	case "metadata.uid":
		return string(p.UID), nil
	case "metadata.labels":
		return mapLines(p.Labels), nil
	case "metadata.annotations":
		return mapLines(p.Annotations), nil
	case "spec.nodeName":
		return p.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return p.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return first(f.HostIPs), nil
	case "status.hostIPs":
		return join(f.HostIPs), nil
	case "status.podIP":
		return first(f.PodIPs), nil
	case "status.podIPs":
		return join(f.PodIPs), nil
	}
	for prefix, m := range map[string]map[string]string{"metadata.labels['": p.Labels, "metadata.annotations['": p.Annotations} {
		if key, ok := strings.CutPrefix(path, prefix); ok && strings.HasSuffix(key, "']") {
			return m[strings.TrimSuffix(key, "']")], nil
		}
	}
	return "", fmt.Errorf("unsupported field %q", path)
}

func resourceField(c *corev1.Container, r *corev1.ResourceFieldSelector) (string, error) {
	kind, name, _ := strings.Cut(r.Resource, ".")
	list := c.Resources.Requests
	if kind == "limits" {
		list = c.Resources.Limits
	}
	q, ok := list[corev1.ResourceName(name)]
	if !ok {
		return "", fmt.Errorf("the container has no %s", r.Resource)
	}
	value := q.Value()
	if !r.Divisor.IsZero() {
		value = (value + r.Divisor.Value() - 1) / r.Divisor.Value()
	}
	return strconv.FormatInt(value, 10), nil
}

// Command returns a container's command line. argv[0] is where the program is
// put: the container's own command if it has one, else a place named after the
// program file, as an image's entry point would be.
func Command(c *corev1.Container, program string, env []string) []string {
	vars := map[string]string{}
	for _, e := range env {
		k, v, _ := strings.Cut(e, "=")
		vars[k] = v
	}
	argv := append(slices.Clone(c.Command), c.Args...)
	if len(c.Command) == 0 {
		argv = append([]string{"/" + program[strings.LastIndexByte(program, '/')+1:]}, c.Args...)
	}
	for i, a := range argv {
		argv[i] = expand(a, vars)
	}
	if !strings.HasPrefix(argv[0], "/") {
		argv[0] = "/" + argv[0]
	}
	return argv
}

// expand replaces $(NAME) by the variable's value; $$ escapes; an unknown
// reference stays as it is.
func expand(s string, vars map[string]string) string {
	var b strings.Builder
	for {
		i := strings.IndexByte(s, '$')
		if i < 0 || i == len(s)-1 {
			return b.String() + s
		}
		b.WriteString(s[:i])
		s = s[i:]
		end := strings.IndexByte(s, ')')
		switch {
		case s[1] == '$':
			b.WriteByte('$')
			s = s[2:]
		case s[1] == '(' && end > 0:
			if v, ok := vars[s[2:end]]; ok {
				b.WriteString(v)
			} else {
				b.WriteString(s[:end+1])
			}
			s = s[end+1:]
		default:
			b.WriteByte('$')
			s = s[1:]
		}
	}
}

func mapLines(m map[string]string) string {
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		lines = append(lines, k+"="+strconv.Quote(m[k]))
	}
	return strings.Join(lines, "\n")
}

func first(a []netip.Addr) string {
	if len(a) == 0 {
		return ""
	}
	return a[0].String()
}

func join(as []netip.Addr) string {
	var s []string
	for _, a := range as {
		s = append(s, a.String())
	}
	return strings.Join(s, ",")
}

func isTrue(b *bool) bool { return b != nil && *b }

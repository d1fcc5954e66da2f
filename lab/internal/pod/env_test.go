// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func speaker() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "speaker-x", Namespace: "metallb-system", UID: "u1",
			Labels: map[string]string{"app": "metallb", "component": "speaker"},
		},
		Spec: corev1.PodSpec{NodeName: "n2", ServiceAccountName: "speaker", HostNetwork: true,
			Containers: []corev1.Container{{Name: "speaker", Image: "quay.io/x/speaker:v1"}}},
	}
}

func facts() Facts {
	return Facts{
		PodIPs:     []netip.Addr{netip.MustParseAddr("192.168.100.12"), netip.MustParseAddr("fd00:100::c")},
		HostIPs:    []netip.Addr{netip.MustParseAddr("192.168.100.12")},
		APIService: netip.MustParseAddr("10.96.0.1"),
		ConfigMaps: map[string]map[string]string{"cm": {"A": "from-cm", "B": "b"}},
		Secrets:    map[string]map[string][]byte{"s": {"key": []byte("hush")}},
	}
}

func field(path string) *corev1.EnvVarSource {
	return &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: path}}
}

func TestEnvironment(t *testing.T) {
	yes := true
	c := &corev1.Container{
		EnvFrom: []corev1.EnvFromSource{
			{Prefix: "P_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}},
			{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "none"}, Optional: &yes}},
		},
		Env: []corev1.EnvVar{
			{Name: "NODE", ValueFrom: field("spec.nodeName")},
			{Name: "NS", ValueFrom: field("metadata.namespace")},
			{Name: "IPS", ValueFrom: field("status.podIPs")},
			{Name: "LABEL", ValueFrom: field("metadata.labels['component']")},
			{Name: "P_A", Value: "overrides $(NODE) $(UNKNOWN) $$(NODE) $"},
			{Name: "KEY", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "key"}}},
			{Name: "MAYBE", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
				LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Key: "other", Optional: &yes}}},
			{Name: "MEM", ValueFrom: &corev1.EnvVarSource{ResourceFieldRef: &corev1.ResourceFieldSelector{
				Resource: "limits.memory", Divisor: resource.MustParse("1Mi")}}},
		},
		Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{"memory": resource.MustParse("100Mi")}},
	}
	got, err := Environment(speaker(), c, facts())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"NODE=n2", "NS=metallb-system", "IPS=192.168.100.12,fd00:100::c", "LABEL=speaker",
		"P_A=overrides n2 $(UNKNOWN) $(NODE) $", "P_B=b", "KEY=hush", "MEM=100", "HOSTNAME=n2",
		"KUBERNETES_SERVICE_HOST=10.96.0.1", "KUBERNETES_SERVICE_PORT=443",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("environment lacks %q:\n%s", want, strings.Join(got, "\n"))
		}
	}
	for _, e := range got {
		if strings.HasPrefix(e, "MAYBE=") {
			t.Errorf("optional reference to nothing is set: %s", e)
		}
	}
}

func TestEnvironmentSaysWhatIsMissing(t *testing.T) {
	for name, src := range map[string]*corev1.EnvVarSource{
		`"gone"`: {ConfigMapKeyRef: &corev1.ConfigMapKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: "gone"}, Key: "k"}},
		`"spec.nothing"`: field("spec.nothing"),
		"limits.memory":  {ResourceFieldRef: &corev1.ResourceFieldSelector{Resource: "limits.memory"}},
	} {
		c := &corev1.Container{Env: []corev1.EnvVar{{Name: "V", ValueFrom: src}}}
		_, err := Environment(speaker(), c, facts())
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v does not name %s", err, name)
		}
	}
}

func TestCommand(t *testing.T) {
	env := []string{"NODE=n2"}
	for _, tc := range []struct {
		name string
		c    corev1.Container
		want string
	}{
		{"args only: the image's entry point", corev1.Container{Args: []string{"--node=$(NODE)"}}, "/speaker --node=n2"},
		{"own command", corev1.Container{Command: []string{"/usr/bin/sp", "x"}, Args: []string{"y"}}, "/usr/bin/sp x y"},
		{"relative command", corev1.Container{Command: []string{"sp"}}, "/sp"},
	} {
		if got := strings.Join(Command(&tc.c, "/home/me/bin/speaker", env), " "); got != tc.want {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func volume(s corev1.VolumeSource) *corev1.Volume { return &corev1.Volume{Name: "v", VolumeSource: s} }

func TestFilesOfTheServiceAccountVolume(t *testing.T) {
	v := volume(corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{DefaultMode: ptr(int32(0o600)), Sources: []corev1.VolumeProjection{
		{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: ptr(int64(3607))}},
		{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"},
			Items: []corev1.KeyToPath{{Key: "A", Path: "ca.crt", Mode: ptr(int32(0o444))}}}},
		{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}}}}},
	}}})
	p := speaker()
	p.Spec.Volumes = []corev1.Volume{*v}
	toks := Tokens(p)
	if len(toks) != 1 || toks[0].Seconds != 3607 {
		t.Fatalf("Tokens = %+v, want one of 3607 s", toks)
	}
	if _, _, err := Files(p, v, facts(), nil); err == nil {
		t.Error("want an error while the token is not there")
	}
	files, ok, err := Files(p, v, facts(), map[string]string{toks[0].Key(): "T"})
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	for name, want := range map[string]File{
		"token": {[]byte("T"), 0o600}, "ca.crt": {[]byte("from-cm"), 0o444}, "namespace": {[]byte("metallb-system"), 0o600},
	} {
		if got := files[name]; string(got.Data) != string(want.Data) || got.Mode != want.Mode {
			t.Errorf("%s: %q %o, want %q %o", name, got.Data, got.Mode, want.Data, want.Mode)
		}
	}
}

func TestFilesOfConfigMapsAndSecrets(t *testing.T) {
	secret := func(name string, optional bool, items ...corev1.KeyToPath) corev1.VolumeSource {
		return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name, Optional: &optional, Items: items}}
	}
	for _, tc := range []struct {
		name string
		src  corev1.VolumeSource
		want string // file names, or "error ..."
	}{
		{"whole secret", secret("s", false), "key"},
		{"missing secret", secret("gone", false), `error volume v: secret "gone" not found`},
		{"missing optional secret", secret("gone", true), ""},
		{"one key elsewhere", secret("s", false, corev1.KeyToPath{Key: "key", Path: "a/b"}), "a/b"},
		{"missing key", secret("s", false, corev1.KeyToPath{Key: "no", Path: "a"}), `error volume v: key "no" of secret "s" not found`},
		{"missing optional key", secret("s", true, corev1.KeyToPath{Key: "no", Path: "a"}), ""},
		{"path that leaves", secret("s", false, corev1.KeyToPath{Key: "key", Path: "../x"}), `error volume v: path "../x" leaves the volume`},
		{"config map", corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}}, "A B"},
	} {
		files, ok, err := Files(speaker(), volume(tc.src), facts(), nil)
		got := strings.Join(slices.Sorted(maps.Keys(files)), " ")
		if err != nil {
			got = "error " + err.Error()
		}
		if !ok || got != tc.want {
			t.Errorf("%s: %q, %v, want %q", tc.name, got, ok, tc.want)
		}
	}
	if _, ok, err := Files(speaker(), volume(corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}), facts(), nil); ok || err != nil {
		t.Errorf("an emptyDir has no files: %v, %v", ok, err)
	}
}

func TestReferences(t *testing.T) {
	p := speaker()
	p.Spec.Volumes = []corev1.Volume{*volume(corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "memberlist"}})}
	p.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}}}
	cms, secs := References(p)
	if !slices.Equal(cms, []string{"cm"}) || !slices.Equal(secs, []string{"memberlist"}) {
		t.Errorf("References = %v, %v", cms, secs)
	}
}

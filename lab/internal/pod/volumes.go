// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package pod

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// File is the wanted content of one file of a volume.
type File struct {
	Data []byte
	Mode int32
}

// Token is one service account token that a pod's volumes ask for.
type Token struct {
	Volume, Path, Audience string
	Seconds                int64
}

// Key names the token within its pod.
func (t Token) Key() string { return t.Volume + "/" + t.Path }

// Tokens returns the tokens that a pod's volumes ask for.
func Tokens(p *corev1.Pod) []Token {
	var out []Token
	for _, v := range p.Spec.Volumes {
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if t := s.ServiceAccountToken; t != nil {
				tok := Token{Volume: v.Name, Path: t.Path, Audience: t.Audience, Seconds: 3600}
				if t.ExpirationSeconds != nil {
					tok.Seconds = *t.ExpirationSeconds
				}
				out = append(out, tok)
			}
		}
	}
	return out
}

// References returns the config maps and secrets that a pod refers to, sorted.
func References(p *corev1.Pod) (configMaps, secrets []string) {
	cms, secs := map[string]bool{}, map[string]bool{}
	for _, v := range p.Spec.Volumes {
		if v.ConfigMap != nil {
			cms[v.ConfigMap.Name] = true
		}
		if v.Secret != nil {
			secs[v.Secret.SecretName] = true
		}
		if v.Projected == nil {
			continue
		}
		for _, s := range v.Projected.Sources {
			if s.ConfigMap != nil {
				cms[s.ConfigMap.Name] = true
			}
			if s.Secret != nil {
				secs[s.Secret.Name] = true
			}
		}
	}
	for _, c := range p.Spec.Containers {
		for _, from := range c.EnvFrom {
			if from.ConfigMapRef != nil {
				cms[from.ConfigMapRef.Name] = true
			}
			if from.SecretRef != nil {
				secs[from.SecretRef.Name] = true
			}
		}
		for _, e := range c.Env {
			if e.ValueFrom != nil && e.ValueFrom.ConfigMapKeyRef != nil {
				cms[e.ValueFrom.ConfigMapKeyRef.Name] = true
			}
			if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
				secs[e.ValueFrom.SecretKeyRef.Name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(cms)), slices.Sorted(maps.Keys(secs))
}

// Files returns the files of a volume that is made from API objects; ok is
// false for any other kind of volume. tokens holds the tokens by their Key.
func Files(p *corev1.Pod, v *corev1.Volume, f Facts, tokens map[string]string) (files map[string]File, ok bool, err error) {
	b := builder{pod: p, facts: f, files: map[string]File{}, mode: corev1.SecretVolumeSourceDefaultMode}
	switch {
	case v.ConfigMap != nil:
		b.defaults(v.ConfigMap.DefaultMode)
		err = b.configMap(v.ConfigMap.Name, v.ConfigMap.Items, isTrue(v.ConfigMap.Optional))
	case v.Secret != nil:
		b.defaults(v.Secret.DefaultMode)
		err = b.secret(v.Secret.SecretName, v.Secret.Items, isTrue(v.Secret.Optional))
	case v.DownwardAPI != nil:
		b.defaults(v.DownwardAPI.DefaultMode)
		err = b.downward(v.DownwardAPI.Items)
	case v.Projected != nil:
		b.defaults(v.Projected.DefaultMode)
		for _, s := range v.Projected.Sources {
			if err = b.projected(v.Name, s, tokens); err != nil {
				break
			}
		}
	default:
		return nil, false, nil
	}
	if err != nil {
		return nil, true, fmt.Errorf("volume %s: %w", v.Name, err)
	}
	return b.files, true, nil
}

type builder struct {
	pod   *corev1.Pod
	facts Facts
	files map[string]File
	mode  int32
}

func (b *builder) defaults(mode *int32) {
	if mode != nil {
		b.mode = *mode
	}
}

func (b *builder) projected(volume string, s corev1.VolumeProjection, tokens map[string]string) error {
	switch {
	case s.ConfigMap != nil:
		return b.configMap(s.ConfigMap.Name, s.ConfigMap.Items, isTrue(s.ConfigMap.Optional))
	case s.Secret != nil:
		return b.secret(s.Secret.Name, s.Secret.Items, isTrue(s.Secret.Optional))
	case s.DownwardAPI != nil:
		return b.downward(s.DownwardAPI.Items)
	case s.ServiceAccountToken != nil:
		t := Token{Volume: volume, Path: s.ServiceAccountToken.Path}
		data, ok := tokens[t.Key()]
		if !ok {
			return fmt.Errorf("no token for %s yet", t.Path)
		}
		return b.add(t.Path, []byte(data), nil)
	}
	return fmt.Errorf("unsupported projected source")
}

func (b *builder) configMap(name string, items []corev1.KeyToPath, optional bool) error {
	data, ok := b.facts.ConfigMaps[name]
	raw := map[string][]byte{}
	for k, v := range data {
		raw[k] = []byte(v)
	}
	return b.keys(fmt.Sprintf("configmap %q", name), raw, ok, items, optional)
}

func (b *builder) secret(name string, items []corev1.KeyToPath, optional bool) error {
	data, ok := b.facts.Secrets[name]
	return b.keys(fmt.Sprintf("secret %q", name), data, ok, items, optional)
}

func (b *builder) keys(what string, data map[string][]byte, found bool, items []corev1.KeyToPath, optional bool) error {
	if !found {
		if optional {
			return nil
		}
		return fmt.Errorf("%s not found", what)
	}
	if len(items) == 0 {
		for k, v := range data {
			if err := b.add(k, v, nil); err != nil {
				return err
			}
		}
		return nil
	}
	for _, i := range items {
		v, ok := data[i.Key]
		if !ok {
			if optional {
				continue
			}
			return fmt.Errorf("key %q of %s not found", i.Key, what)
		}
		if err := b.add(i.Path, v, i.Mode); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) downward(items []corev1.DownwardAPIVolumeFile) error {
	for _, i := range items {
		if i.FieldRef == nil {
			return fmt.Errorf("file %s: unsupported source", i.Path)
		}
		v, err := Field(b.pod, i.FieldRef.FieldPath, b.facts)
		if err != nil {
			return fmt.Errorf("file %s: %w", i.Path, err)
		}
		if err := b.add(i.Path, []byte(v), i.Mode); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) add(name string, data []byte, mode *int32) error {
	clean := path.Clean(name)
	if path.IsAbs(clean) || clean == "." || strings.HasPrefix(clean, "..") {
		return fmt.Errorf("path %q leaves the volume", name)
	}
	f := File{Data: data, Mode: b.mode}
	if mode != nil {
		f.Mode = *mode
	}
	b.files[clean] = f
	return nil
}

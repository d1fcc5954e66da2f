// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package kubelet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarion-lb/clarion/lab/internal/pod"
)

// facts returns everything the pod's environment and volumes refer to. While the API server is
// away it is what was read last: a kubelet, too, restarts containers without asking anew.
func (pp *processPod) facts(ctx context.Context) (pod.Facts, error) {
	f, err := pp.readFacts(ctx)
	pp.mu.Lock()
	defer pp.mu.Unlock()
	switch {
	case err == nil:
		pp.known = &f
	case pp.known != nil && ctx.Err() == nil:
		return *pp.known, nil
	}
	return f, err
}

func (pp *processPod) readFacts(ctx context.Context) (pod.Facts, error) {
	p := pp.current()
	f := pod.Facts{
		PodIPs: pp.ips, HostIPs: pp.k.hostIP, APIService: pp.k.api,
		ConfigMaps: map[string]map[string]string{}, Secrets: map[string]map[string][]byte{},
	}
	configMaps, secrets := pod.References(p)
	for _, name := range configMaps {
		cm, err := pp.k.quick.CoreV1().ConfigMaps(p.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			data := map[string]string{}
			for k, v := range cm.BinaryData {
				data[k] = string(v)
			}
			for k, v := range cm.Data {
				data[k] = v
			}
			f.ConfigMaps[name] = data
		case !apierrors.IsNotFound(err):
			return f, fmt.Errorf("get configmap %s: %w", name, err)
		}
	}
	for _, name := range secrets {
		s, err := pp.k.quick.CoreV1().Secrets(p.Namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			f.Secrets[name] = s.Data
		case !apierrors.IsNotFound(err):
			return f, fmt.Errorf("get secret %s: %w", name, err)
		}
	}
	return f, nil
}

// writeVolumes makes all volumes of the pod as they should be now.
func (pp *processPod) writeVolumes(ctx context.Context) error {
	p := pp.current()
	f, err := pp.facts(ctx)
	if err != nil {
		return err
	}
	tokens, err := pp.tokens(ctx, p)
	if err != nil {
		return err
	}
	for i := range p.Spec.Volumes {
		v := &p.Spec.Volumes[i]
		files, made, err := pod.Files(p, v, f, tokens)
		if err != nil {
			return err
		}
		dir, err := pp.volumePath(p, v.Name)
		if err != nil {
			return err
		}
		switch {
		case made:
			err = publish(dir, files, ownerOf(p))
		case v.EmptyDir != nil:
			err = errors.Join(os.MkdirAll(dir, 0o777), os.Chmod(dir, 0o777))
		case v.HostPath != nil && v.HostPath.Type != nil && *v.HostPath.Type == corev1.HostPathDirectoryOrCreate:
			err = os.MkdirAll(dir, 0o755)
		}
		if err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	return nil
}

// volumePath returns the place of a volume on the machine.
func (pp *processPod) volumePath(p *corev1.Pod, name string) (string, error) {
	for _, v := range p.Spec.Volumes {
		if v.Name != name {
			continue
		}
		switch {
		case v.HostPath != nil:
			return v.HostPath.Path, nil
		case v.EmptyDir != nil, v.ConfigMap != nil, v.Secret != nil, v.Projected != nil, v.DownwardAPI != nil:
			return filepath.Join(pp.k.dir.PodDir(pp.k.node, pp.id), "volumes", name), nil
		}
		return "", fmt.Errorf("volume %s is of a kind the lab does not have", name)
	}
	return "", fmt.Errorf("no volume %s in the pod", name)
}

// tokens returns the pod's service account tokens, each asked for anew when
// four fifths of its life are over. They are kept beside the volumes, so that
// a restarted kubelet goes on with them.
func (pp *processPod) tokens(ctx context.Context, p *corev1.Pod) (map[string]string, error) {
	out := map[string]string{}
	for _, t := range pod.Tokens(p) {
		file := filepath.Join(pp.k.dir.PodDir(pp.k.node, pp.id), "tokens", strings.ReplaceAll(t.Key(), "/", "_"))
		if st, err := os.Stat(file); err == nil && time.Since(st.ModTime()) < time.Duration(t.Seconds)*time.Second*4/5 {
			if b, err := os.ReadFile(file); err == nil {
				out[t.Key()] = string(b)
				continue
			}
		}
		token, err := pp.requestToken(ctx, p, t)
		if err != nil {
			return nil, err
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return nil, fmt.Errorf("keep token: %w", err)
		}
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			return nil, fmt.Errorf("keep token: %w", err)
		}
		out[t.Key()] = token
	}
	return out, nil
}

func (pp *processPod) requestToken(ctx context.Context, p *corev1.Pod, t pod.Token) (string, error) {
	req := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{
		ExpirationSeconds: &t.Seconds,
		BoundObjectRef:    &authv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: p.Name, UID: p.UID},
	}}
	if t.Audience != "" {
		req.Spec.Audiences = []string{t.Audience}
	}
	account := p.Spec.ServiceAccountName
	got, err := pp.k.quick.CoreV1().ServiceAccounts(p.Namespace).CreateToken(ctx, account, req, metav1.CreateOptions{})
	if err != nil {
		return "", fmt.Errorf("request token of service account %s: %w", account, err)
	}
	return got.Status.Token, nil
}

// owner is who must be able to read a pod's files.
type owner struct{ uid, gid int }

func ownerOf(p *corev1.Pod) owner {
	var o owner
	for i := range p.Spec.Containers {
		if s, err := pod.SecurityOf(p, &p.Spec.Containers[i]); err == nil && s.UID != 0 {
			o.uid = s.UID
		}
	}
	if sc := p.Spec.SecurityContext; sc != nil && sc.FSGroup != nil {
		o.gid = int(*sc.FSGroup)
	}
	return o
}

const dataLink = "..data"

// publish makes the directory hold exactly these files, in one step: readers
// see all old or all new files, as with a real kubelet, because the names are
// links through ..data, which is replaced by a rename.
func publish(dir string, files map[string]pod.File, o owner) error {
	if same(dir, files) {
		return nil
	}
	next := filepath.Join(dir, ".."+strconv.FormatInt(time.Now().UnixNano(), 36))
	if err := os.MkdirAll(next, 0o755); err != nil {
		return err
	}
	top := map[string]bool{}
	for name, f := range files {
		path := filepath.Join(next, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		mode := os.FileMode(f.Mode)
		if o.gid != 0 {
			mode |= 0o040
		}
		if err := errors.Join(os.WriteFile(path, f.Data, mode), os.Chmod(path, mode), os.Chown(path, o.uid, o.gid)); err != nil {
			return err
		}
		first, _, _ := strings.Cut(name, "/")
		top[first] = true
	}
	old, _ := os.Readlink(filepath.Join(dir, dataLink))
	link := filepath.Join(dir, dataLink+".new")
	_ = os.Remove(link) // of an attempt that was cut short
	if err := errors.Join(os.Symlink(filepath.Base(next), link), os.Rename(link, filepath.Join(dir, dataLink))); err != nil {
		return err
	}
	for name := range top {
		err := os.Symlink(filepath.Join(dataLink, name), filepath.Join(dir, name))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return sweep(dir, top, filepath.Base(next), old)
}

// sweep removes names that are no longer there and the old generation. Directories are not
// names of files: another volume is mounted there.
func sweep(dir string, top map[string]bool, current, old string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), "..") && !top[e.Name()] && !e.IsDir() {
			if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if old == "" || old == current {
		return nil
	}
	return os.RemoveAll(filepath.Join(dir, old))
}

func same(dir string, files map[string]pod.File) bool {
	if _, err := os.Stat(filepath.Join(dir, dataLink)); err != nil {
		return false
	}
	count := 0
	root := filepath.Join(dir, dataLink) + "/"
	err := filepath.Walk(root, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		count++
		b, err := os.ReadFile(path)
		if f, ok := files[strings.TrimPrefix(path, root)]; err != nil || !ok || !bytes.Equal(b, f.Data) {
			return errors.New("differs")
		}
		return nil
	})
	return err == nil && count == len(files)
}

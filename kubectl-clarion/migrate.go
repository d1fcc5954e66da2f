// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/clarion-lb/clarion/internal/kube"
	"github.com/clarion-lb/clarion/internal/migrate"
)

// fieldManager owns the fields of applied objects.
const fieldManager = "kubectl-clarion"

func newMigrate(t *target) *cobra.Command {
	var o migrateOrder
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Translate the ConfigMap of MetalLB up to 0.12 into objects",
		Long: `Reads the ConfigMap that configured MetalLB up to 0.12 and prints the IPAddressPool, L2Advertisement,
BGPPeer, BGPAdvertisement, BFDProfile and Community objects that mean the same. Remarks go to standard
error. If something cannot be translated, that is said, with what to do, and no objects are printed.

Nothing in the cluster is changed without --apply.`,
		Example: `  kubectl clarion migrate > objects.yaml
  kubectl clarion migrate -f old-config.yaml | kubectl apply -f -
  kubectl clarion migrate --apply`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.namespace = t.namespace()
			return o.run(cmd, t)
		},
	}
	f := cmd.Flags()
	f.StringVarP(&o.file, "filename", "f", "", "file with the ConfigMap, a manifest that holds it, or its text; \"-\": standard input; default: read it from the cluster")
	f.StringVar(&o.configMap, "configmap", "config", "name of the ConfigMap in the cluster")
	f.StringVarP(&o.output, "output", "o", "yaml", "format; yaml is the only one")
	f.BoolVar(&o.apply, "apply", false, "apply the objects to the cluster, too")
	return cmd
}

type migrateOrder struct {
	namespace               string
	file, configMap, output string
	apply                   bool
}

func (o migrateOrder) run(cmd *cobra.Command, t *target) error {
	if o.output != "yaml" {
		return fmt.Errorf("output format %q is not known; use yaml", o.output)
	}
	input, err := o.read(cmd, t)
	if err != nil {
		return err
	}
	result, problems := migrate.Translate(input, o.namespace)
	for _, p := range problems {
		say(cmd.ErrOrStderr(), "%s: %s", map[bool]string{true: "note", false: "cannot translate"}[p.Note], p)
	}
	if !migrate.Complete(problems) {
		return fmt.Errorf("the configuration cannot be translated as it is: correct what is listed above, in a copy, and give that with -f")
	}
	text, err := result.YAML()
	if err != nil {
		return err
	}
	if _, err := cmd.OutOrStdout().Write(text); err != nil {
		return fmt.Errorf("print objects: %w", err)
	}
	if !o.apply {
		return nil
	}
	c, err := t.connect()
	if err != nil {
		return err
	}
	return applyObjects(cmd.Context(), cmd.ErrOrStderr(), c, result)
}

func (o migrateOrder) read(cmd *cobra.Command, t *target) ([]byte, error) {
	switch o.file {
	case "":
		c, err := t.connect()
		if err != nil {
			return nil, err
		}
		found, err := c.Builtin.CoreV1().ConfigMaps(o.namespace).Get(cmd.Context(), o.configMap, metav1.GetOptions{})
		if err != nil {
			return nil, fmt.Errorf("read ConfigMap %s in %s: %w; --configmap and --namespace say which one, -f reads a file", o.configMap, o.namespace, err)
		}
		found.Kind = "ConfigMap" // which a typed client leaves out
		return json.Marshal(found)
	case "-":
		input, err := io.ReadAll(cmd.InOrStdin())
		if err != nil {
			return nil, fmt.Errorf("read standard input: %w", err)
		}
		return input, nil
	}
	input, err := os.ReadFile(o.file)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return input, nil
}

// applyObjects writes them by server-side apply: what others have set in the same objects is
// not overwritten but told as a conflict.
func applyObjects(ctx context.Context, out io.Writer, c kube.Clients, r migrate.Result) error {
	for _, d := range []struct {
		client   rest.Interface
		resource string
		objects  []runtime.Object
	}{
		{c.V1beta1, "communities", objectsOf(r.Communities)},
		{c.V1beta1, "bfdprofiles", objectsOf(r.BFDProfiles)},
		{c.V1beta1, "ipaddresspools", objectsOf(r.Pools)},
		{c.V1beta2, "bgppeers", objectsOf(r.BGPPeers)},
		{c.V1beta1, "l2advertisements", objectsOf(r.L2Advertisements)},
		{c.V1beta1, "bgpadvertisements", objectsOf(r.BGPAdvertisements)},
	} {
		for _, o := range d.objects {
			meta := o.(metav1.Object)
			body, err := migrate.JSON(o)
			if err != nil {
				return err
			}
			err = d.client.Patch(types.ApplyPatchType).Namespace(meta.GetNamespace()).Resource(d.resource).Name(meta.GetName()).
				Param("fieldManager", fieldManager).Body(body).Do(ctx).Error()
			if err != nil {
				return fmt.Errorf("apply %s/%s: %w", d.resource, meta.GetName(), err)
			}
			say(out, "applied %s/%s", d.resource, meta.GetName())
		}
	}
	return nil
}

func objectsOf[T runtime.Object](in []T) []runtime.Object {
	out := make([]runtime.Object, len(in))
	for i, o := range in {
		out[i] = o
	}
	return out
}

// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"bytes"
	"cmp"
	"errors"
	"io"

	"go.yaml.in/yaml/v3"
)

// key is where the ConfigMap has the configuration.
const key = "config"

// source names the input as a whole in problems.
const source = "input"

// find returns the configuration in the input as a mapping, or nil.
func find(input []byte, out *problems) *yaml.Node {
	var found []*yaml.Node
	for d := yaml.NewDecoder(bytes.NewReader(input)); ; {
		var doc yaml.Node
		err := d.Decode(&doc)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			out.reject(source, "", "is no YAML: %v", err)
			return nil
		}
		found = append(found, configurations(&doc, out)...)
	}
	switch {
	case len(found) == 1:
		return found[0]
	case len(found) > 1:
		out.reject(source, "", "holds %d configurations; give one at a time", len(found))
	case len(out.list) == 0:
		out.reject(source, "", "holds no configuration; give MetalLB's ConfigMap, which has the key %q in its data", key)
	}
	return nil
}

// configurations returns those that a document holds: none if it is another object.
func configurations(doc *yaml.Node, out *problems) []*yaml.Node {
	node := resolve(doc)
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	switch kind := value(node, "kind"); {
	case kind == nil && value(node, "configInline") != nil: // values of MetalLB's chart up to 0.12
		return []*yaml.Node{orEmpty(value(node, "configInline"))}
	case kind == nil:
		return []*yaml.Node{node}
	case kind.Value == "List" || kind.Value == "ConfigMapList":
		var all []*yaml.Node
		if items := resolve(value(node, "items")); items != nil && items.Kind == yaml.SequenceNode {
			for _, item := range items.Content {
				if k := value(resolve(item), "kind"); k != nil && k.Value == "ConfigMap" { // no lists in lists, which aliases make endless
					all = append(all, inConfigMap(resolve(item), out)...)
				}
			}
		}
		return all
	case kind.Value == "ConfigMap":
		return inConfigMap(node, out)
	}
	return nil
}

func inConfigMap(node *yaml.Node, out *problems) []*yaml.Node {
	data := resolve(value(node, "data"))
	text := resolve(value(data, key))
	if text == nil || text.Kind != yaml.ScalarNode {
		return nil // a ConfigMap for something else
	}
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(text.Value), &doc); err != nil {
		out.reject("ConfigMap", "data."+key, "is no YAML: %v", err)
		return nil
	}
	return []*yaml.Node{orEmpty(&doc)}
}

// orEmpty takes null for a configuration that says nothing.
func orEmpty(node *yaml.Node) *yaml.Node {
	return cmp.Or(resolve(node), &yaml.Node{Kind: yaml.MappingNode})
}

// value returns what a mapping has under a key, or nil.
func value(node *yaml.Node, key string) *yaml.Node {
	if node == nil || node.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// resolve follows aliases and enters documents. nil is what is not there, or null.
func resolve(node *yaml.Node) *yaml.Node {
	for node != nil {
		switch {
		case node.Kind == yaml.AliasNode:
			node = node.Alias
		case node.Kind == yaml.DocumentNode && len(node.Content) > 0:
			node = node.Content[0]
		case node.Kind == 0 || node.Kind == yaml.DocumentNode || node.Tag == "!!null":
			return nil
		default:
			return node
		}
	}
	return nil
}

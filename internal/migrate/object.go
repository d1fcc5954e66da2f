// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// object is one mapping, which is read key by key. What is left when all known keys have been
// read is unknown, and said to be.
type object struct {
	name   string // of the object in problems
	prefix string // of its fields in problems
	keys   []string
	values map[string]*yaml.Node
	out    *problems
}

func newObject(node *yaml.Node, name, prefix string, out *problems) *object {
	o := &object{name: name, prefix: prefix, values: map[string]*yaml.Node{}, out: out}
	node = resolve(node)
	if node == nil {
		return o
	}
	if node.Kind != yaml.MappingNode {
		out.reject(name, strings.TrimSuffix(prefix, "."), "is no mapping of keys to values; correct the indentation")
		return o
	}
	for i := 0; i+1 < len(node.Content); i += 2 {
		k := node.Content[i].Value
		if _, twice := o.values[k]; twice {
			o.reject(k, "is there twice; remove one")
			continue
		}
		o.keys = append(o.keys, k)
		o.values[k] = node.Content[i+1]
	}
	return o
}

func (o *object) reject(field, format string, args ...any) {
	o.out.reject(o.name, strings.TrimSuffix(o.prefix+field, "."), format, args...)
}

func (o *object) note(field, format string, args ...any) {
	o.out.note(o.name, strings.TrimSuffix(o.prefix+field, "."), format, args...)
}

// take returns the value of a key and strikes the key off; nil if it is absent or null.
func (o *object) take(key string) *yaml.Node {
	node := resolve(o.values[key])
	delete(o.values, key)
	return node
}

// done rejects what is left. cures says, by key, what to write instead of keys that older
// versions had.
func (o *object) done(cures map[string]string) {
	for _, k := range o.keys {
		if _, left := o.values[k]; !left {
			continue
		}
		switch cure := cures[k]; {
		case cure != "":
			o.reject(k, "%s", cure)
		case k == "<<":
			o.reject(k, "merged mappings are not read; write the keys out")
		default:
			o.reject(k, "MetalLB had no such field; correct its name or remove it")
		}
	}
}

// text reads a string. Numbers are taken as they are written.
func (o *object) text(key string) string {
	node := o.take(key)
	if node == nil {
		return ""
	}
	if node.Kind != yaml.ScalarNode {
		o.reject(key, "is no text; write one value")
		return ""
	}
	return node.Value
}

// flag reads a boolean; nil if there is none.
func (o *object) flag(key string) *bool {
	text := o.text(key)
	var on bool
	switch strings.ToLower(text) {
	case "":
		return nil
	case "true", "yes", "on", "y": // what YAML 1.1 allowed
		on = true
	case "false", "no", "off", "n":
	default:
		o.reject(key, "%q is neither true nor false; write one of them", text)
		return nil
	}
	return &on
}

// number reads an integer from low to high; nil if there is none.
func (o *object) number(key string, low, high uint32) *uint32 {
	text := o.text(key)
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(strings.ReplaceAll(text, "_", ""), 10, 32)
	if err != nil || uint32(n) < low || uint32(n) > high || (len(text) > 1 && text[0] == '0') {
		o.reject(key, "%q is not a number from %d to %d; correct it", text, low, high)
		return nil
	}
	v := uint32(n)
	return &v
}

// duration reads a time such as "90s"; nil if there is none.
func (o *object) duration(key string) *time.Duration {
	text := o.text(key)
	if text == "" {
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		o.reject(key, "%q is no time; write it with its unit, such as 90s", text)
		return nil
	}
	return &d
}

// address reads an IP address and returns its text; "" if there is none.
func (o *object) address(key string) string {
	text := o.text(key)
	if text == "" {
		return ""
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		o.reject(key, "%q is no IP address; write one such as 192.0.2.1", text)
		return ""
	}
	return addr.Unmap().String()
}

// list returns the elements of a sequence.
func (o *object) list(key string) []*yaml.Node {
	node := o.take(key)
	if node == nil {
		return nil
	}
	if node.Kind != yaml.SequenceNode {
		o.reject(key, "is no list; begin each element with \"- \"")
		return nil
	}
	return node.Content
}

// texts reads a list of strings. check, if there is one, may reject each.
func (o *object) texts(key string, check func(field, text string)) []string {
	var all []string
	for i, node := range o.list(key) {
		field := fmt.Sprintf("%s[%d]", key, i)
		node = resolve(node)
		if node == nil || node.Kind != yaml.ScalarNode {
			o.reject(field, "is no text; write one value")
			continue
		}
		if check != nil {
			check(field, node.Value)
		}
		all = append(all, node.Value)
	}
	return all
}

// objects reads a list of mappings that belong to this object.
func (o *object) objects(key string) []*object {
	var all []*object
	for i, node := range o.list(key) {
		all = append(all, newObject(node, o.name, fmt.Sprintf("%s%s[%d].", o.prefix, key, i), o.out))
	}
	return all
}

// pair is a key of a mapping of strings with its value.
type pair struct{ key, value string }

// pairs reads a mapping of strings, in the order in which it is written.
func (o *object) pairs(key string) []pair {
	m := newObject(o.take(key), o.name, o.prefix+key+".", o.out)
	var all []pair
	for _, k := range m.keys {
		if k == "<<" {
			m.reject(k, "merged mappings are not read; write the keys out")
			continue
		}
		all = append(all, pair{k, m.text(k)})
	}
	return all
}

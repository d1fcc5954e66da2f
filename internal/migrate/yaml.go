// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package migrate

import (
	"bytes"
	"encoding/json"
	"fmt"

	"sigs.k8s.io/yaml"
)

// Objects returns all objects, those first that others refer to.
func (r Result) Objects() []any {
	var all []any
	add(&all, r.Communities)
	add(&all, r.BFDProfiles)
	add(&all, r.Pools)
	add(&all, r.BGPPeers)
	add(&all, r.L2Advertisements)
	add(&all, r.BGPAdvertisements)
	return all
}

func add[T any](all *[]any, more []T) {
	for _, o := range more {
		*all = append(*all, o)
	}
}

// YAML writes all objects as a stream of documents, without fields that say nothing.
func (r Result) YAML() ([]byte, error) {
	var out bytes.Buffer
	for i, o := range r.Objects() {
		text, err := document(o)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteString("---\n")
		}
		out.Write(text)
	}
	return out.Bytes(), nil
}

// JSON writes one object, without fields that say nothing and without status.
func JSON(object any) ([]byte, error) {
	fields, err := fieldsOf(object)
	if err != nil {
		return nil, err
	}
	return json.Marshal(fields)
}

func document(object any) ([]byte, error) {
	fields, err := fieldsOf(object)
	if err != nil {
		return nil, err
	}
	out, err := yaml.Marshal(fields)
	if err != nil {
		return nil, fmt.Errorf("write object: %w", err)
	}
	return out, nil
}

func fieldsOf(object any) (map[string]any, error) {
	text, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("write object: %w", err)
	}
	var fields map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber() // as they are, not rounded to float64
	if err := d.Decode(&fields); err != nil {
		return nil, fmt.Errorf("write object: %w", err)
	}
	delete(fields, "status")
	if meta, ok := fields["metadata"].(map[string]any); ok {
		delete(meta, "creationTimestamp")
	}
	if spec, ok := fields["spec"].(map[string]any); ok {
		if secret, ok := spec["passwordSecret"].(map[string]any); ok && len(secret) == 0 {
			delete(spec, "passwordSecret")
		}
	}
	return fields, nil
}

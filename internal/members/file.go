// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package members

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// field is one entry of MetalLB's config file.
type field struct {
	name string
	set  func(json.RawMessage) error
}

// fields lists the 19 entries in the order in which MetalLB documents them.
func (p *Parameters) fields() []field {
	return []field{
		{"TCPTimeout", span(&p.TCPTimeout)},
		{"IndirectChecks", count(&p.IndirectChecks)},
		{"RetransmitMult", count(&p.RetransmitMult)},
		{"SuspicionMult", positive(&p.SuspicionMult)},
		{"SuspicionMaxTimeoutMult", positive(&p.SuspicionMaxTimeoutMult)},
		{"PushPullInterval", spanOrZero(&p.PushPullInterval)},
		{"ProbeTimeout", span(&p.ProbeTimeout)},
		{"ProbeInterval", span(&p.ProbeInterval)},
		{"DisableTcpPings", flag(&p.DisableTCPPings)},
		{"AwarenessMaxMultiplier", positive(&p.AwarenessMaxMultiplier)},
		{"GossipNodes", positive(&p.GossipNodes)},
		{"GossipInterval", span(&p.GossipInterval)},
		{"GossipToTheDeadTime", spanOrZero(&p.GossipToTheDeadTime)},
		{"GossipVerifyIncoming", flag(&p.GossipVerifyIncoming)},
		{"GossipVerifyOutgoing", flag(&p.GossipVerifyOutgoing)},
		{"EnableCompression", flag(&p.EnableCompression)},
		{"HandoffQueueDepth", positive(&p.HandoffQueueDepth)},
		{"UDPBufferSize", positive(&p.UDPBufferSize)},
		{"QueueCheckInterval", span(&p.QueueCheckInterval)},
	}
}

// ParseFile reads MetalLB's memberlist config file: a JSON object with all 19 fields.
// Durations are texts such as "500ms" or whole nanoseconds; names may be written in any case,
// as encoding/json allows, and of two that differ only in that the last one counts. Every mistake is reported, not only the first; the names of
// entries that mean nothing are returned sorted.
func ParseFile(data []byte) (p Parameters, unknown []string, err error) {
	raw, names, err := entries(data)
	if err != nil {
		return Parameters{}, nil, fmt.Errorf("parse memberlist config: %w", err)
	}
	var missing []string
	var errs []error
	for _, f := range p.fields() {
		value, ok := raw[strings.ToLower(f.name)]
		delete(raw, strings.ToLower(f.name))
		if !ok || string(value) == "null" {
			missing = append(missing, f.name)
			continue
		}
		if err := f.set(value); err != nil {
			errs = append(errs, fmt.Errorf("field %s: %w", f.name, err))
		}
	}
	if len(missing) > 0 {
		errs = append(errs, fmt.Errorf("missing %s: all 19 fields must be given", strings.Join(missing, ", ")))
	}
	if len(errs) == 0 && p.ProbeTimeout > p.ProbeInterval {
		errs = append(errs, fmt.Errorf("ProbeTimeout %s exceeds ProbeInterval %s", p.ProbeTimeout, p.ProbeInterval))
	}
	if len(errs) > 0 {
		return Parameters{}, nil, fmt.Errorf("parse memberlist config: %w", errors.Join(errs...))
	}
	for name := range raw {
		unknown = append(unknown, names[name])
	}
	slices.Sort(unknown)
	return p, unknown, nil
}

// entries returns the entries of a JSON object by their names in lower case, and the names as
// they are written.
func entries(data []byte) (raw map[string]json.RawMessage, names map[string]string, err error) {
	if err := json.Unmarshal(data, new(map[string]json.RawMessage)); err != nil {
		return nil, nil, err
	}
	raw, names = map[string]json.RawMessage{}, map[string]string{}
	d := json.NewDecoder(bytes.NewReader(data)) // in their order, which a map does not keep
	for {
		token, err := d.Token()
		if err != nil {
			return nil, nil, err
		}
		name, ok := token.(string)
		switch {
		case ok:
			var value json.RawMessage
			if err := d.Decode(&value); err != nil {
				return nil, nil, err
			}
			raw[strings.ToLower(name)], names[strings.ToLower(name)] = value, name
		case token == json.Delim('{'):
		default: // the end of the object, or null, which has none
			return raw, names, nil
		}
	}
}

func span(to *time.Duration) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if err := spanOrZero(to)(raw); err != nil {
			return err
		}
		if *to == 0 {
			return errors.New("0 is not positive")
		}
		return nil
	}
}

func spanOrZero(to *time.Duration) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		var text string
		var d time.Duration
		var err error
		if json.Unmarshal(raw, &text) == nil {
			d, err = time.ParseDuration(text)
		} else {
			err = json.Unmarshal(raw, (*int64)(&d))
		}
		if err != nil {
			return fmt.Errorf("%s is no duration such as \"500ms\"", raw)
		}
		if d < 0 {
			return fmt.Errorf("%s is negative", raw)
		}
		*to = d
		return nil
	}
}

func count(to *int) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if err := json.Unmarshal(raw, to); err != nil {
			return fmt.Errorf("%s is no whole number", raw)
		}
		if *to < 0 {
			return fmt.Errorf("%s is negative", raw)
		}
		return nil
	}
}

func positive(to *int) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if err := count(to)(raw); err != nil {
			return err
		}
		if *to == 0 {
			return errors.New("0 is not positive")
		}
		return nil
	}
}

func flag(to *bool) func(json.RawMessage) error {
	return func(raw json.RawMessage) error {
		if err := json.Unmarshal(raw, to); err != nil {
			return fmt.Errorf("%s is neither true nor false", raw)
		}
		return nil
	}
}

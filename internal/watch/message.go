// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package watch

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Kind says what a message means.
type Kind uint8

// The kinds of messages. Their numbers are what travels between speakers of different
// versions, so they never change.
const (
	Ask  Kind = 1 // does Node answer you? I do not hear it
	Yes  Kind = 2 // it does; answers the Ask of the same Serial
	No   Kind = 3 // it does not
	Gone Kind = 4 // nobody whom I asked hears Node: do without it
	Here Kind = 5 // I, Node, was declared gone, and have proved my place again
)

// String returns the name of the kind, as logs show it.
func (k Kind) String() string {
	if k < Ask || k > Here {
		return fmt.Sprintf("Kind(%d)", uint8(k))
	}
	return [...]string{"Ask", "Yes", "No", "Gone", "Here"}[k-Ask]
}

// Message is what watchers say to each other.
type Message struct {
	Kind Kind
	From string // node
	Node string // whom it is about
	// Serial tells the messages of a node apart, later ones having higher numbers. Yes and No
	// carry that of the Ask.
	Serial uint64
}

// maxName is the longest name of a node (a DNS subdomain).
const maxName = 253

// Append appends the message as it travels: kind, serial, and both names, each with its
// length before it.
func (m Message) Append(b []byte) []byte {
	b = append(b, byte(m.Kind))
	b = binary.BigEndian.AppendUint64(b, m.Serial)
	for _, name := range []string{m.From, m.Node} {
		b = append(b, byte(len(name)))
		b = append(b, name...)
	}
	return b
}

// errShort is the error of a message that ends too early.
var errShort = errors.New("parse watch message: it is cut off")

// Parse reads what Append wrote. What follows the message is left to later versions.
func Parse(b []byte) (Message, error) {
	if len(b) < 9 {
		return Message{}, errShort
	}
	m := Message{Kind: Kind(b[0]), Serial: binary.BigEndian.Uint64(b[1:])}
	if m.Kind < Ask || m.Kind > Here {
		return Message{}, fmt.Errorf("parse watch message: kind %d is unknown", b[0])
	}
	b = b[9:]
	for _, name := range []*string{&m.From, &m.Node} {
		if len(b) < 1 || len(b) < 1+int(b[0]) {
			return Message{}, errShort
		}
		n := int(b[0])
		if n == 0 || n > maxName {
			return Message{}, fmt.Errorf("parse watch message: a name of %d bytes", n)
		}
		*name, b = string(b[1:1+n]), b[1+n:]
	}
	return m, nil
}

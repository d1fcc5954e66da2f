// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package lb

// Reason is a CamelCase word that a condition, an event and a metric label share, so that
// a user can search for the same word everywhere. MetalLB's reasons keep their spelling.
type Reason string

// Reasons of the controller. The event reasons are MetalLB's.
const (
	IPAllocated            Reason = "IPAllocated"
	AllocationFailed       Reason = "AllocationFailed"
	ClearAssignment        Reason = "ClearAssignment"
	LoadBalancerFailed     Reason = "LoadBalancerFailed"
	AdditionalAssignFailed Reason = "AdditionalAssignFailed"
	NotEnoughClusterIPs    Reason = "not enough clusterips"
	DeprecatedAnnotation   Reason = "deprecatedAnnotation"
	InvalidConfiguration   Reason = "InvalidConfiguration"
)

// Reasons of the speaker: why an address is, or is not, announced here.
const (
	NodeAssigned                Reason = "nodeAssigned"
	AnnounceFailed              Reason = "announceFailed"
	NotOwner                    Reason = "notOwner"
	NoMatchingAdvertisement     Reason = "noMatchingAdvertisement"
	SharedIPWithServiceSelector Reason = "sharedIPWithServiceSelector"
	NodeNetworkUnavailable      Reason = "nodeNetworkUnavailable"
	NodeLabeledExcludeBalancers Reason = "nodeLabeledExcludeBalancers"
	NoEndpoints                 Reason = "noEndpoints"
	NoLocalEndpoints            Reason = "noLocalEndpoints"
	NoPool                      Reason = "noPool"
	NoPeer                      Reason = "noPeer"    // no BGP peer of the node gets it
	NoSpeaker                   Reason = "noSpeaker" // no live speaker on the node
	NoInterface                 Reason = "noUsableInterface"
	Withdrawn                   Reason = "withdrawn"
	AddressConflict             Reason = "AddressConflict" // a foreign host uses the address
	ConflictResolved            Reason = "ConflictResolved"
	// The next two mean that an input is not known yet: nothing is changed (I7).
	MembershipUnknown Reason = "membershipUnknown"
	ClusterUnknown    Reason = "clusterUnknown"
)

// Problem is a mistake in an object that a user wrote. It is a value, not an error: the
// object is ignored and reported, everything else goes on.
type Problem struct {
	Kind    string // "IPAddressPool", "Service", ...
	Object  Key
	Field   string // path, such as "spec.addresses[1]"; "" when the object as a whole is meant
	Reason  Reason
	Message string // what is wrong and what cures it
	// Ignored is true when the whole object is left out, false when only the field is.
	Ignored bool
}

#!/usr/bin/env bash
# Copyright The Clarion Authors
# SPDX-License-Identifier: Apache-2.0
#
# gobgp.sh : writes bin/gobgp.mod, which is go.mod with a GoBGP in which one line is corrected, for
# `go build -modfile=bin/gobgp.mod`. In 3.37, the last release, handlingError looks into a message that
# could not be read, so a peer that sends a message of an unknown type ends the whole speaker. Fails
# when GoBGP no longer has that line, because then this script is to be deleted or written anew.
set -euo pipefail
cd "$(dirname "$0")/.."

module=github.com/osrg/gobgp/v3
wrong='if m.Header.Type == bgp.BGP_MSG_UPDATE && useRevisedError {'
right='if m != nil \&\& m.Header.Type == bgp.BGP_MSG_UPDATE \&\& useRevisedError {'
file=pkg/server/fsm.go

# Flags that are meant for others, as -modfile itself, must not count here.
export GOFLAGS=
go mod download "$module"
source=$(go list -m -f '{{.Dir}}' "$module")
version=$(go list -m -f '{{.Version}}' "$module")
if [ "$(grep -cF "$wrong" "$source/$file")" != 1 ]; then
	echo "gobgp.sh: $module $version is not the one that this corrects" >&2
	exit 1
fi
# The path is relative to go.mod, so that a release has the same bytes wherever it is built.
copy=bin/gobgp-$version
if [ ! -e "$copy" ]; then
	mkdir -p bin
	rm -rf "$copy.new"
	cp -r "$source" "$copy.new"
	chmod -R u+w "$copy.new"
	sed -i "s/$wrong/$right/" "$copy.new/$file"
	mv "$copy.new" "$copy"
fi
cp go.sum bin/gobgp.sum
cp go.mod bin/gobgp.mod.new
go mod edit -replace="$module=./$copy" bin/gobgp.mod.new
mv bin/gobgp.mod.new bin/gobgp.mod

#!/bin/sh
# Copyright The Clarion Authors
# SPDX-License-Identifier: Apache-2.0
#
# Generates what is derived from api/: the deepcopy functions, and the CRDs of config/crd/bases.
#
#   tools/generate.sh          write them in place
#   tools/generate.sh verify   write them elsewhere, and fail if that differs from what is here
set -eu
cd "$(dirname "$0")/.."

# The generator is pinned in tools/go.mod; go builds nothing when bin/ is up to date.
mkdir -p bin
(cd tools && go build -o ../bin/controller-gen sigs.k8s.io/controller-tools/cmd/controller-gen)

generate() {
	bin/controller-gen object:headerFile=tools/header.txt paths=./api/... "$@"
}

case "${1:-write}" in
write)
	# A kind that is gone must not leave its CRD behind.
	mkdir -p config/crd/bases
	rm -f config/crd/bases/*.yaml
	generate crd:maxDescLen=2000 output:crd:dir=config/crd/bases
	;;
verify)
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT
	cp -r go.mod go.sum api "$tmp/"
	mkdir -p "$tmp/tools" "$tmp/bin"
	cp tools/header.txt "$tmp/tools/"
	cp bin/controller-gen "$tmp/bin/"
	(cd "$tmp" && generate crd:maxDescLen=2000 output:crd:dir=config/crd/bases)
	for path in api config/crd/bases; do
		if ! diff -ru "$path" "$tmp/$path"; then
			echo "generated files under $path are not up to date: run 'make generate' and commit the result" >&2
			exit 1
		fi
	done
	;;
*)
	echo "usage: tools/generate.sh [write|verify]" >&2
	exit 2
	;;
esac

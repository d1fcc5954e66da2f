#!/bin/sh
# Copyright The Clarion Authors
# SPDX-License-Identifier: Apache-2.0
#
# Generates what is derived from api/: the deepcopy functions, the CRDs of config/crd/bases and
# docs/reference.md; and what charts/clarion has in common with config/.
#
#   tools/generate.sh          write them in place
#   tools/generate.sh verify   write them elsewhere, and fail if that differs from what is here
set -eu
cd "$(dirname "$0")/.."
root=$PWD

# The generator is pinned in tools/go.mod; go builds nothing when bin/ is up to date.
mkdir -p bin
(cd tools && go build -o ../bin/ sigs.k8s.io/controller-tools/cmd/controller-gen ./chartfiles ./reference)

# Everything is generated in a copy first, so that a mistake in api/ breaks nothing here, and
# the CRD of a kind that is gone does not stay behind.
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mkdir "$tmp/tools"
cp -r go.mod go.sum api "$tmp/"
cp tools/header.txt "$tmp/tools/"
rm -f "$tmp"/api/*/zz_generated.deepcopy.go
(cd "$tmp" && "$root/bin/controller-gen" object:headerFile=tools/header.txt \
	crd:maxDescLen=2000 output:crd:dir=config/crd/bases paths=./api/...)

cp -r config "$tmp/from"
rm -f "$tmp"/from/crd/bases/*.yaml
cp "$tmp"/config/crd/bases/*.yaml "$tmp/from/crd/bases/"
bin/chartfiles -config "$tmp/from" -out "$tmp/charts/clarion/files"

bin/reference -crds "$tmp/from/crd/bases" -out "$tmp/docs/reference.md"

case "${1:-write}" in
write)
	mkdir -p config/crd/bases
	rm -f config/crd/bases/*.yaml
	cp "$tmp"/config/crd/bases/*.yaml config/crd/bases/
	rm -rf charts/clarion/files
	cp -r "$tmp/charts/clarion/files" charts/clarion/
	cp "$tmp/docs/reference.md" docs/
	for package in "$tmp"/api/*; do
		cp "$package/zz_generated.deepcopy.go" "api/$(basename "$package")/"
	done
	;;
verify)
	for path in api config/crd/bases charts/clarion/files docs/reference.md; do
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

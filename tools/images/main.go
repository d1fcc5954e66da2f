// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

// Command images packs static binaries into OCI images without a container engine, pushes these,
// and packs the same binaries into archives. The base is empty: an image holds one program, its bill of materials and the licences
// of what is linked into it. The same binaries give the same digests, on any machine.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintf(os.Stderr, "images: %v\n", err)
		os.Exit(1)
	}
}

// options are what both verbs need to know.
type options struct {
	binaries  string // folder with one folder per platform, such as linux_arm_v7
	out       string // folder for OCI layouts and archives
	license   string // file with the licence of Clarion itself; "" for none
	notices   string // file with the licences of what is linked; "" for none
	registry  string // put before image names; "" for none
	version   string
	revision  string
	created   time.Time
	platforms []v1.Platform
}

const usage = "usage: images build|push|archive [flags]; -h lists them"

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	switch args[0] {
	case "build":
		return build(o)
	case "push":
		return push(ctx, o)
	case "archive":
		return archive(o)
	default:
		return errors.New(usage)
	}
}

func parse(args []string) (options, error) {
	var o options
	var platforms string
	var epoch int64
	f := flag.NewFlagSet("images "+args[0], flag.ContinueOnError)
	f.StringVar(&o.binaries, "binaries", "dist/bin", "folder with a folder of programs per platform")
	f.StringVar(&o.out, "out", "dist/images", "folder for layouts and archives")
	f.StringVar(&o.license, "license", "", "file with the licence of Clarion")
	f.StringVar(&o.notices, "notices", "", "file with the licences of what is linked")
	f.StringVar(&o.registry, "registry", "", "registry and path before the names of the images")
	f.StringVar(&o.version, "version", "dev", "tag of the images")
	f.StringVar(&o.revision, "revision", "", "commit that the binaries were built from")
	f.Int64Var(&epoch, "created", 0, "time of creation, in seconds since 1970")
	f.StringVar(&platforms, "platforms", "linux/amd64", "comma-separated list, such as linux/arm/v7")
	if err := f.Parse(args[1:]); err != nil {
		return o, err
	}
	o.created = time.Unix(epoch, 0).UTC()
	for _, p := range strings.Split(platforms, ",") {
		parsed, err := v1.ParsePlatform(p)
		if err != nil {
			return o, fmt.Errorf("parse platform %q: %w", p, err)
		}
		o.platforms = append(o.platforms, *parsed)
	}
	return o, nil
}

// layoutDir is where the OCI layout of a program's image lies; its archive has the same name
// with ".tar".
func (o options) layoutDir(p program) string { return filepath.Join(o.out, p.image()) }

// binary is the path of a program built for a platform.
func (o options) binary(p program, pl v1.Platform) string {
	return filepath.Join(o.binaries, folder(pl), p.name)
}

// folder names a platform in paths: linux_amd64, linux_arm_v7.
func folder(pl v1.Platform) string { return strings.ReplaceAll(pl.String(), "/", "_") }

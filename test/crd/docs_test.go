// Copyright The Clarion Authors
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/clarion-lb/clarion/internal/labctl"
)

// block is the text between two fences of a document.
type block struct {
	file     string
	line     int
	language string
	text     string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.file, b.line) }

// taken matches what puts the output of a command into a variable.
var taken = regexp.MustCompile(`^[a-z]+=\$\((.*)\)$`)

// TestDocs tries what the documents tell readers to do: every manifest is given to the API
// server, which validates it as it would a reader's, and every command must exist with its
// subcommands and flags. Commands of kubectl that only read are run.
func TestDocs(t *testing.T) {
	blocks := append(documents(t), notes(t))
	run := reader(t)
	manifests, commands := 0, 0
	for _, b := range blocks {
		switch b.language {
		case "yaml":
			manifests++
			checkManifest(t, b)
		case "":
			for _, line := range strings.Split(strings.ReplaceAll(b.text, "\\\n", " "), "\n") {
				line, _, _ = strings.Cut(line, " #")
				line = taken.ReplaceAllString(line, "$1")
				if strings.TrimSpace(line) == "" || isOutput(line) {
					continue
				}
				commands++
				checkCommand(t, b, strings.Fields(line))
				run(b, line)
			}
		case "sh": // test/upgrade runs them
			if b.file != "upgrade-from-metallb.md" {
				t.Errorf("%s: nobody runs the commands of this document", b)
			}
		case "kustomization": // tools/manifests renders it
			if b.file != "install.md" {
				t.Errorf("%s: nobody renders the kustomizations of this document", b)
			}
		default:
			t.Errorf("%s: nobody checks a block of %q", b, b.language)
		}
	}
	if manifests < 10 || commands < 20 {
		t.Errorf("only %d manifests and %d commands found: is the reader of documents broken?", manifests, commands)
	}
}

func documents(t *testing.T) []block {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	for _, file := range append(files, "../../README.md", "../../CONTRIBUTING.md") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, fenced(filepath.Base(file), string(data))...)
	}
	return append(out, indented(t, "../../lab/README.md"))
}

// indented returns the commands of a document that has no fences, as a block of them.
func indented(t *testing.T, file string) block {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b := block{file: file}
	for line := range strings.Lines(string(data)) {
		if command, found := strings.CutPrefix(line, "    "); found {
			b.text += command
		}
	}
	if b.text == "" {
		t.Errorf("%s: no commands found", file)
	}
	return b
}

// notes returns the manifest that the chart's notes propose.
func notes(t *testing.T) block {
	t.Helper()
	b := block{file: "../../charts/clarion/templates/NOTES.txt", language: "yaml"}
	data, err := os.ReadFile(b.file)
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(data), "<<YAML\n")
	text, _, ended := strings.Cut(text, "  YAML\n")
	if !found || !ended {
		t.Errorf("%s: no manifest found", b.file)
	}
	b.text = strings.ReplaceAll(strings.ReplaceAll("\n"+text, "\n  ", "\n"), "{{ .Release.Namespace }}", "metallb-system")
	return b
}

// reader returns a function that runs a command if it is one of kubectl that only reads and ends.
// What it asks for may be missing, because the documents have names of their own.
func reader(t *testing.T) func(b block, line string) {
	t.Helper()
	kubeconfig := os.Getenv("CLARION_LAB_KUBECONFIG")
	if kubeconfig == "" {
		lab, err := labctl.Open("crd", os.Stderr)
		if err != nil {
			t.Fatal(err)
		}
		if kubeconfig, err = lab.Kubeconfig(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	bin, dir := t.TempDir(), t.TempDir()
	program, err := filepath.Abs("../../bin/lab")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(bin, "kubectl")); err != nil {
		t.Fatal(err)
	}
	reads := regexp.MustCompile(`^kubectl (-n \S+ )?(get|describe|explain|api-resources|auth can-i) `)
	stays := regexp.MustCompile(` (-w|--watch|-f|--raw)\b|<`)
	commands := 0
	t.Cleanup(func() {
		if commands < 5 {
			t.Errorf("only %d commands that read were found and run", commands)
		}
	})
	return func(b block, line string) {
		t.Helper()
		if !reads.MatchString(line) || stays.MatchString(line) {
			return
		}
		commands++
		cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "KUBECONFIG="+kubeconfig, "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil && !strings.Contains(string(out), "(NotFound)") || strings.Contains(string(out), "error:") {
			t.Errorf("%s: %s: %v: %s", b, line, err, out)
		}
	}
}

func fenced(file, text string) []block {
	var out []block
	inside := false
	scan := bufio.NewScanner(strings.NewReader(text))
	for n := 1; scan.Scan(); n++ {
		fence, language, _ := strings.Cut(scan.Text(), "```")
		switch {
		case strings.TrimSpace(fence) == "" && strings.HasPrefix(strings.TrimSpace(scan.Text()), "```"):
			if inside = !inside; inside {
				out = append(out, block{file: file, line: n, language: strings.TrimSpace(language)})
			}
		case inside:
			out[len(out)-1].text += scan.Text() + "\n"
		}
	}
	return out
}

func checkManifest(t *testing.T, b block) {
	t.Helper()
	if strings.HasPrefix(strings.TrimSpace(b.text), "- {apiGroups") {
		var rules []rbacv1.PolicyRule // part of a Role
		if err := yaml.UnmarshalStrict([]byte(b.text), &rules); err != nil {
			t.Errorf("%s: %v", b, err)
		}
		return
	}
	objs, err := objects(b.text)
	if err != nil {
		t.Errorf("%s: %v", b, err)
		return
	}
	for _, o := range objs {
		if o.GetKind() == "Deployment" {
			continue // no field of ours
		}
		if err := dryCreate(t.Context(), o); err != nil {
			t.Errorf("%s: %s %s: %v", b, o.GetKind(), o.GetName(), err)
		}
	}
}

// isOutput tells what a command prints, and code of a language, from a command.
func isOutput(line string) bool {
	return regexp.MustCompile(`^(\[|\s|[A-Z][A-Z0-9_-]+ |[a-z0-9-]+ +LoadBalancer )`).MatchString(line)
}

// flagless are programs of others that are used in passing; what matters is that a reader
// has them.
func flagless() []string {
	return []string{"curl", "ctr", "export", "cd", "git", "sysctl", "sha256sum", "tar", "install", "head"}
}

func checkCommand(t *testing.T, b block, words []string) {
	t.Helper()
	for strings.Contains(words[0], "=") && len(words) > 1 { // environment
		words = words[1:]
	}
	switch words[0] {
	case "make":
		checkTargets(t, b, words[1:])
	case "kubectl":
		if len(words) > 1 && words[1] == "clarion" {
			checkFlags(t, b, words[2:], help(t, b, "../../bin/kubectl-clarion", "kubectl-clarion", words[2:]))
			return
		}
		checkFlags(t, b, words[1:], help(t, b, "../../bin/lab", "kubectl", words[1:])+options(t))
	case "helm":
		checkFlags(t, b, words[1:], help(t, b, "../../bin/helm", "helm", words[1:]))
	case "lab", "bin/lab":
		checkLab(t, b, words[1:])
	case "go", "bin/bench", "tools/generate.sh", "lab/build.sh", "./build.sh":
	default:
		if !contains(flagless(), words[0]) {
			t.Errorf("%s: nobody checks the program of %q", b, strings.Join(words, " "))
		}
	}
}

// checkLab asks by `lab help`, because some commands hand all flags on, to kubectl or to a program.
func checkLab(t *testing.T, b block, words []string) {
	t.Helper()
	if len(words) == 0 {
		return
	}
	if words[0] == "kubectl" {
		checkCommand(t, b, words)
		return
	}
	out, err := exec.CommandContext(t.Context(), "../../bin/lab", "help", words[0]).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "lab "+words[0]) {
		t.Errorf("%s: lab has no command %s: %v: %.200s", b, words[0], err, out)
	}
	checkFlags(t, b, words, string(out))
}

func contains(list []string, s string) bool {
	return strings.Contains("\n"+strings.Join(list, "\n")+"\n", "\n"+s+"\n")
}

// checkTargets looks the targets up in the Makefile; bench-NAME is a pattern there.
func checkTargets(t *testing.T, b block, words []string) {
	t.Helper()
	makefile, err := os.ReadFile("../../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range words {
		if strings.Contains(w, "=") {
			continue
		}
		if strings.HasPrefix(w, "bench-") {
			w = "bench-%"
		}
		if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(w) + `:`).Match(makefile) {
			t.Errorf("%s: no target %q in the Makefile", b, w)
		}
	}
}

// help returns what a program says of the command that its words name. It stands for the
// program under which its binary runs in argv[0].
func help(t *testing.T, b block, path, name string, words []string) string {
	t.Helper()
	var verbs []string
	for i := 0; i < len(words); i++ {
		w := words[i]
		if w == "-n" || w == "--namespace" {
			i++ // and its value
			continue
		}
		if strings.HasPrefix(w, "-") {
			break
		}
		verbs = append(verbs, w)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), abs)
	cmd.Args = append(append([]string{name}, verbs...), "--help")
	out, err := cmd.CombinedOutput()
	if err != nil || len(verbs) > 0 && !strings.Contains(string(out), verbs[0]) {
		t.Errorf("%s: %q: %v: %.200s", b, strings.Join(words, " "), err, out)
	}
	return string(out)
}

// options returns the flags that every command of kubectl has.
func options(t *testing.T) string {
	t.Helper()
	abs, err := filepath.Abs("../../bin/lab")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), abs)
	cmd.Args = []string{"kubectl", "options"}
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "--namespace") {
		t.Errorf("kubectl options: %v: %.200s", err, out)
	}
	return string(out)
}

func checkFlags(t *testing.T, b block, words []string, known string) {
	t.Helper()
	for _, w := range words {
		if w == "--" {
			return
		}
		name, _, _ := strings.Cut(w, "=")
		if strings.HasPrefix(name, "-") && len(name) > 1 && !regexp.MustCompile(`(^|[\s,])`+regexp.QuoteMeta(name)+`([\s,=]|$)`).MatchString(known) {
			t.Errorf("%s: %q has no flag %s", b, strings.Join(words, " "), name)
		}
	}
}

// TestDocsLinks follows the links between documents.
func TestDocsLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range append(files, "../../README.md", "../../ARCHITECTURE.md", "../../CONTRIBUTING.md", "../../CHANGELOG.md", "../../lab/README.md") {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(data), -1) {
			seen++
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: link to %s: %v", filepath.Base(file), m[1], err)
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d links found", seen)
	}
}

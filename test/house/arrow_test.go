// Package house tests the walls between packages, as ARCHITECTURE.md has them.
package house

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "liverelay/"

// needs returns what a package needs beside the standard library, tests aside: of ours without the module's name.
func needs(t *testing.T, pkg string) []string {
	t.Helper()
	out, err := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", module+pkg).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pkg, err)
	}
	var all []string
	for _, path := range strings.Fields(string(out)) {
		if path = strings.TrimPrefix(path, module); path != pkg {
			all = append(all, path)
		}
	}
	return all
}

// What a package may need beside the standard library: no more than that.
func TestArrows(t *testing.T) {
	for pkg, may := range map[string][]string{
		"relay":              {"relay/flv", "relay/socket", "relay/socket/uring"},
		"relay/flv":          {},
		"relay/socket":       {"relay/socket/uring"},
		"relay/socket/uring": {},
	} {
		for _, need := range needs(t, pkg) {
			if !slices.Contains(may, need) {
				t.Errorf("%s needs %s", pkg, need)
			}
		}
	}
}

// Only relay/socket makes system calls of its own, and has code that the compiler does not check.
func TestUnsafeOnlyInSockets(t *testing.T) {
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+"relay/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), module), " ")
		if strings.HasPrefix(pkg, "relay/socket") {
			continue
		}
		if all := strings.Fields(imports); slices.Contains(all, "unsafe") || pkg == "relay" && slices.Contains(all, "syscall") {
			t.Errorf("%s imports %s", pkg, imports)
		}
	}
}

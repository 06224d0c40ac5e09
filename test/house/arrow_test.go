// Package house tests the walls between packages, as ARCHITECTURE.md has them.
package house

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "liverelay/"

// needs returns what a package needs beside the standard library, tests aside: of ours without the
// module's name.
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

// within says whether a package is the one of a pattern, or one of all below it ("a/...").
func within(pkg, pattern string) bool {
	root, all := strings.CutSuffix(pattern, "/...")
	return pkg == root || all && strings.HasPrefix(pkg, root+"/")
}

// What a package may need beside the standard library: no more than that.
func TestArrows(t *testing.T) {
	for pkg, may := range map[string][]string{
		"relay":              {"bucket", "measure", "relay/flv", "relay/socket", "relay/socket/uring"},
		"relay/flv":          {},
		"relay/socket":       {"relay/socket/uring"},
		"relay/socket/uring": {},
		"auth":               {"github.com/golang-jwt/jwt/v5"},
		"auth/hook":          {"auth", "measure", "github.com/golang-jwt/jwt/v5"},
		"room":               {"auth", "bucket", "measure", "github.com/golang-jwt/jwt/v5"},
		"room/backend":       {"room", "auth", "bucket", "measure", "github.com/golang-jwt/jwt/v5"},
		"relay/transcode":    {"relay/flv", "github.com/tphakala/...", "github.com/thesyncim/gopus/..."},
		"cluster":            {"bucket", "measure", "relay", "relay/flv", "relay/socket", "relay/socket/uring"},
		"web":                {},
		"support":            {},
		"measure":            {},
		"bucket":             {},
	} {
		for _, need := range needs(t, pkg) {
			if !slices.ContainsFunc(may, func(p string) bool { return within(need, p) }) {
				t.Errorf("%s needs %s", pkg, need)
			}
		}
	}
}

// What each package imports of ours stands in ARCHITECTURE.md, and nothing else does; what helps
// tests aside.
func TestImports(t *testing.T) {
	table := drawn(t, "| package | imports |\n", "\n\n")
	told := map[string][]string{}
	for line := range strings.Lines(table) {
		var row []string
		for _, name := range quoted.FindAllStringSubmatch(line, -1) {
			row = append(row, name[1])
		}
		if len(row) > 0 {
			told[row[0]] = row[1:]
		}
	}
	for pkg, all := range imports(t, "...") {
		if helpsTests(pkg) {
			continue
		}
		own := ours(all)
		if row, ok := told[pkg]; !ok || !slices.Equal(row, own) {
			t.Errorf("%s imports %q, ARCHITECTURE.md says %q", pkg, own, row)
		}
		delete(told, pkg)
	}
	for pkg := range told {
		t.Errorf("ARCHITECTURE.md has imports of %s, which is no package", pkg)
	}
}

// A package imports only from floors below its own, as ARCHITECTURE.md draws them, and each stands
// on one.
func TestFloors(t *testing.T) {
	all := imports(t, "...")
	floors, n := map[string]int{}, 0
	for line := range strings.Lines(drawn(t, "Floors, from the roof down", "Every arrow")) {
		n++
		for _, word := range strings.Fields(line) {
			if _, is := all[word]; is {
				floors[word] = n
			}
		}
	}
	for pkg, imported := range all {
		if helpsTests(pkg) || pkg == "cmd/livebench" { // which stands beside the house
			continue
		}
		if floors[pkg] == 0 {
			t.Errorf("%s is on no floor of ARCHITECTURE.md", pkg)
		}
		for _, below := range ours(imported) {
			if floors[below] <= floors[pkg] {
				t.Errorf("%s imports %s, which ARCHITECTURE.md does not draw below it", pkg, below)
			}
		}
	}
}

// drawn returns what ARCHITECTURE.md has between two of its texts.
func drawn(t *testing.T, from, to string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, part, found := strings.Cut(string(page), from)
	part, _, ends := strings.Cut(part, to)
	if !found || !ends {
		t.Fatalf("ARCHITECTURE.md has nothing from %q to %q", from, to)
	}
	return part
}

// helpsTests says whether a package is not of the house: nothing but tests imports it.
func helpsTests(pkg string) bool {
	return strings.HasPrefix(pkg, "test/") || strings.HasPrefix(pkg, "docs/") || strings.HasSuffix(pkg, "test")
}

// ours returns those of imports that are ours, without the module's name.
func ours(imports []string) []string {
	var own []string
	for _, imported := range imports {
		if name, is := strings.CutPrefix(imported, module); is {
			own = append(own, name)
		}
	}
	return own
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

// What a package does not need, neither itself nor through others: rooms and who may do what are
// decided without HTTP, and so are streams.
func TestForbiddenNeeds(t *testing.T) {
	for _, pkg := range []string{"room", "auth", "relay", "relay/flv", "relay/socket"} {
		out, err := exec.Command("go", "list", "-deps", module+pkg).Output()
		if err != nil {
			t.Fatalf("go list %s: %v", pkg, err)
		}
		for _, needed := range strings.Fields(string(out)) {
			if needed == "net/http" || strings.Contains(needed, "websocket") || strings.Contains(needed, "gobwas/ws") {
				t.Errorf("%s needs %s", pkg, needed)
			}
		}
	}
	for _, imported := range imports(t, "room")["room"] {
		if imported == "crypto/tls" || imported == "net" {
			t.Errorf("room imports %s", imported)
		}
	}
	for _, door := range []string{"relay/door", "relay/rtmp", "relay/httpflv", "relay/webrtc"} {
		for _, needed := range needs(t, door) {
			if !strings.Contains(needed, ".") && !strings.HasPrefix(needed, "relay") && needed != "measure" && needed != "bucket" {
				t.Errorf("%s, a door, needs %s", door, needed)
			}
		}
	}
}

// A third-party module is imported by one package, and stands here. What helps tests aside: its
// name ends in test.
func TestOneImporter(t *testing.T) {
	of := map[string]string{
		"github.com/coder/websocket":          "room/signal",
		"github.com/danielgtaylor/huma":       "admin",
		"github.com/gobwas/ws":                "relay/httpflv",
		"github.com/golang-jwt/jwt":           "auth",
		"github.com/pion/dtls":                "cmd/livebench", // whose players are clients of their own; webrtc's is pion's affair
		"github.com/pion/ice":                 "relay/webrtc",
		"github.com/pion/interceptor":         "relay/webrtc",
		"github.com/pion/logging":             "relay/webrtc",
		"github.com/pion/rtcp":                "relay/webrtc",
		"github.com/pion/rtp":                 "relay/webrtc",
		"github.com/pion/sdp":                 "relay/webrtc",
		"github.com/pion/stun":                "relay/webrtc",
		"github.com/pion/webrtc":              "relay/webrtc",
		"github.com/pires/go-proxyproto":      "relay/door",
		"github.com/prometheus/client_golang": "admin",
		"github.com/redis/go-redis":           "redis",
		"github.com/spf13/viper":              "config",
		"github.com/thesyncim/gopus":          "relay/transcode",
		"github.com/tphakala/go-aac":          "relay/transcode",
		"github.com/yutopp/go-rtmp":           "relay/rtmp",
	}
	for pkg, all := range imports(t, "...") {
		for _, imported := range all {
			domain, _, _ := strings.Cut(imported, "/")
			if !strings.Contains(domain, ".") || strings.HasPrefix(imported, module) || strings.HasSuffix(pkg, "test") {
				continue
			}
			known := false
			for module, owner := range of {
				if imported == module || strings.HasPrefix(imported, module+"/") {
					if known = true; owner != pkg {
						t.Errorf("%s imports %s, which is %s's", pkg, imported, owner)
					}
				}
			}
			if !known {
				t.Errorf("%s imports %s: name the one package that may", pkg, imported)
			}
		}
	}
}

// imports returns what packages import themselves, tests aside, by package.
func imports(t *testing.T, pattern string) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, module+pattern).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", pattern, err)
	}
	all := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		all[strings.TrimPrefix(fields[0], module)] = fields[1:]
	}
	return all
}

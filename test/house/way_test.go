package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mostWay is how many files a frame may pass from socket to socket.
const mostWay = 17

var (
	wayRow  = regexp.MustCompile("^\\| `([^`]+\\.go)` \\| (.*) \\|$")
	quoted  = regexp.MustCompile("`([^`]+)`")
	tableOf = regexp.MustCompile(`(?m)(^\|.*\n)+`)
)

// ways returns the tables of files and functions in a section of ARCHITECTURE.md.
func ways(t *testing.T, heading string) [][][2]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(page), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("no section %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var all [][][2]string
	for _, table := range tableOf.FindAllString(section, -1) {
		var way [][2]string
		for line := range strings.Lines(table) {
			if row := wayRow.FindStringSubmatch(strings.TrimSpace(line)); row != nil {
				way = append(way, [2]string{row[1], row[2]})
			}
		}
		if len(way) > 0 {
			all = append(all, way)
		}
	}
	return all
}

// functions returns the names of a file's functions and methods.
func functions(t *testing.T, path string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, path), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Errorf("ARCHITECTURE.md: %v", err)
		return nil
	}
	var names []string
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok {
			names = append(names, f.Name.Name)
		}
	}
	return names
}

// Every package stands in ARCHITECTURE.md's list of the house, and nothing else does; what helps
// tests aside.
func TestHouse(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(page), "```\n")
	list, _, _ = strings.Cut(list, "```")
	named, above := map[string]bool{}, ""
	for line := range strings.Lines(list) {
		name, _, found := strings.Cut(strings.TrimLeft(line, " "), "/ ")
		switch {
		case !found || strings.HasPrefix(line, "   "):
			continue // an entry's second line
		case line[0] == ' ':
			name = above + "/" + name
		default:
			above = name
		}
		named[name] = true
		if info, err := os.Stat(filepath.Join(root, name)); err != nil || !info.IsDir() {
			t.Errorf("ARCHITECTURE.md: there is no %s", name)
		}
	}
	for pkg := range imports(t, "...") {
		inside := strings.HasPrefix(pkg, "test/") || strings.HasPrefix(pkg, "docs/") || pkg == "relay/socket/uring"
		if !named[pkg] && !inside && !strings.HasSuffix(pkg, "test") {
			t.Errorf("ARCHITECTURE.md does not name %s", pkg)
		}
	}
}

// The ways that ARCHITECTURE.md shows are those of the code: each file once, every function in it.
// Helpers that a frame's way calls are told apart from it, and are in none of its files.
func TestWays(t *testing.T) {
	frame, login := ways(t, "A frame's way"), ways(t, "A login's way")
	if len(frame) != 2 || len(login) != 2 {
		t.Fatalf("%d tables of a frame's way, want 2, the second of helpers; %d of a login's, want one for each side of its goroutine", len(frame), len(login))
	}
	if n := len(frame[0]); n > mostWay {
		t.Errorf("a frame passes %d files, %d are the most", n, mostWay)
	}
	for _, helper := range frame[1] {
		if slices.ContainsFunc(frame[0], func(row [2]string) bool { return row[0] == helper[0] }) {
			t.Errorf("%s is on a frame's way and a helper", helper[0])
		}
	}
	for _, way := range append(frame, login...) {
		seen := map[string]bool{}
		for _, row := range way {
			file, does := row[0], row[1]
			if seen[file] {
				t.Errorf("the way comes to %s twice", file)
			}
			seen[file] = true
			have := functions(t, file)
			named := 0
			for _, name := range quoted.FindAllStringSubmatch(does, -1) {
				if strings.Contains(name[1], "/") {
					if _, err := os.Stat(filepath.Join(root, name[1])); err != nil {
						t.Errorf("%s: %v", file, err)
					}
					continue
				}
				if named++; !slices.Contains(have, name[1]) {
					t.Errorf("%s has no function %s", file, name[1])
				}
			}
			if named == 0 {
				t.Errorf("%s: no function is named", file)
			}
		}
	}
}

package house

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Above these a reader loses the thread; what is larger stands in larger, with its reason.
const (
	mostLines  = 500 // of a file
	mostTest   = 900 // of a file of Go tests: a table of cases is read row by row, and needs no turning back
	mostBody   = 60  // lines of a function
	mostFields = 20  // of a struct
	mostFiles  = 20  // files of a package
	mostWidth  = 100 // columns of a comment that has lines to itself, a tab being four
)

// root is the module's directory, seen from this package.
var root = filepath.Join("..", "..")

// What is larger than it should be, and why it stays whole.
var larger = map[string]string{
	"package relay":         "a message's way is one and each step works on the same Stream: see its doc",
	"package room":          "one goroutine owns the whole of a Room: see its doc",
	"package cmd/livebench": "one program with protocols of its own, so that it measures from outside: see its doc",

	"room.event":             "the events of PROTOCOL.md §4, one JSON object each with what it needs",
	"room/signal.request":    "every request of PROTOCOL.md §2 in one, so that a frame is parsed once",
	"room/roomtest.Frame":    "every frame that a client may get in one, for tests",
	"cmd/livebench.Options":  "the command's flags, one field each",
	"cmd/livebench.Window":   "one row of the report, one figure each",
	"cmd/livebench.promises": "a table: one row for each figure that is promised",
}

// No file of any language, function, struct or package is too large without a reason. Of tests in
// Go only the files are counted, and may be longer: their functions are lists of cases.
func TestSizes(t *testing.T) {
	excused := map[string]bool{}
	check := func(what string, n, most int, unit string) {
		if n <= most {
			return
		}
		if larger[what] == "" {
			t.Errorf("%s has %d %s, %d are the most: split it, or say why in larger", what, n, unit, most)
		}
		excused[what] = true
	}
	files := map[string]int{}
	for _, suffix := range []string{".ts", ".tsx", ".js", ".mjs", ".css", ".html", ".wxml", ".lua", ".sh", ".py"} {
		if err := eachFile(suffix, func(path string, text []byte) error {
			check(relative(path), bytes.Count(text, []byte("\n")), mostLines, "lines")
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	err := eachFile(".go", func(path string, text []byte) error {
		rel := relative(path)
		if strings.HasSuffix(path, "_test.go") {
			check(rel, bytes.Count(text, []byte("\n")), mostTest, "lines")
			return nil
		}
		pkg := filepath.ToSlash(filepath.Dir(rel))
		files[pkg]++
		check(rel, bytes.Count(text, []byte("\n")), mostLines, "lines")
		return eachSize(path, text, func(name string, n, most int, unit string) { check(pkg+"."+name, n, most, unit) })
	})
	if err != nil {
		t.Fatal(err)
	}
	for pkg, n := range files {
		check("package "+pkg, n, mostFiles, "files")
	}
	for _, what := range slices.Sorted(maps.Keys(larger)) {
		if !excused[what] {
			t.Errorf("%s is no longer too large: take it out of larger", what)
		}
	}
}

// relative is a file's path in the module.
func relative(path string) string {
	return filepath.ToSlash(strings.TrimPrefix(path, root+string(filepath.Separator)))
}

// eachSize tells the lines of each function and the fields of each struct of a file.
func eachSize(path string, text []byte, tell func(name string, n, most int, unit string)) error {
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, text, parser.SkipObjectResolution)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncDecl:
			tell(n.Name.Name, set.Position(n.End()).Line-set.Position(n.Pos()).Line+1, mostBody, "lines")
		case *ast.TypeSpec:
			if s, ok := n.Type.(*ast.StructType); ok {
				count := 0
				for _, f := range s.Fields.List {
					count += max(1, len(f.Names))
				}
				tell(n.Name.Name, count, mostFields, "fields")
			}
		}
		return true
	})
	return nil
}

// Every fuzz target begins with inputs that are committed: seeds in its code, or files in testdata.
func TestFuzzTargetsHaveSeeds(t *testing.T) {
	targets := 0
	err := eachFile("_test.go", func(path string, text []byte) error {
		file, err := parser.ParseFile(token.NewFileSet(), path, text, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || !strings.HasPrefix(f.Name.Name, "Fuzz") || f.Recv != nil {
				continue
			}
			targets++
			body := text[f.Pos()-file.FileStart : f.End()-file.FileStart]
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), "testdata", "fuzz", f.Name.Name)); err != nil && !bytes.Contains(body, []byte(".Add(")) {
				t.Errorf("%s: %s has no seeds", path, f.Name.Name)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if targets == 0 {
		t.Error("no fuzz target was found")
	}
}

// generated is what the pages' build writes beside their sources, from the admin API's description.
const generated = "document.d.ts"

// Comments are prose, which nobody reads to the end of a long line. What is set further in, as a
// table is, keeps its form.
func TestCommentWidth(t *testing.T) {
	if err := eachFile(".go", func(path string, text []byte) error {
		n := 0
		for line := range strings.Lines(string(text)) {
			n++
			line = strings.ReplaceAll(strings.TrimRight(line, "\n"), "\t", "    ")
			if strings.HasPrefix(strings.TrimSpace(line), "// ") && !strings.Contains(line, "//    ") && utf8.RuneCountInString(line) > mostWidth {
				t.Errorf("%s:%d: a comment of %d columns, %d are the most", relative(path), n, utf8.RuneCountInString(line), mostWidth)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// eachFile tells the files of the module whose names end so, but for what is installed or built.
func eachFile(suffix string, tell func(path string, text []byte) error) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && (name == "node_modules" || name == "testdata" || name == "dist" || name == "miniprogram_dist" || path != root && strings.HasPrefix(name, ".")) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, suffix) || name == generated {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return tell(path, text)
	})
}

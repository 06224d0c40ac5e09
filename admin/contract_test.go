package admin

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/ anew")

// document is what a client needs of /api/openapi.json.
type document struct {
	OpenAPI    string                              `json:"openapi"`
	Paths      map[string]map[string]documented    `json:"paths"`
	Components struct{ Schemas map[string]schema } `json:"components"`
}

type documented struct {
	OperationID string              `json:"operationId"`
	Role        Role                `json:"x-role"`
	Responses   map[string]response `json:"responses"`
	Parameters  []struct {
		Name, In string
		Required bool
		Schema   schema
		Example  any
	}
	RequestBody *struct {
		Content map[string]struct{ Schema schema }
	}
}

type response struct {
	Content map[string]struct{ Schema schema }
}

type schema struct {
	Ref        string            `json:"$ref"`
	Type       any               `json:"type"`
	Required   []string          `json:"required"`
	Properties map[string]schema `json:"properties"`
	Items      *schema           `json:"items"`
	Enum       []any             `json:"enum"`
}

func read(t *testing.T, c *console) document {
	t.Helper()
	status, body, _ := c.ask("GET", "/api/openapi.json", "", nil, nil)
	var doc document
	if err := json.Unmarshal([]byte(body), &doc); err != nil || status != 200 || !strings.HasPrefix(doc.OpenAPI, "3.") {
		t.Fatalf("%d %v", status, err)
	}
	return doc
}

// examples fill the paths and bodies of the operations so that they succeed, at the fake node.
var examples = map[string]string{"app": "live", "stream": "demo", "room": "r1", "user": "u", "kick-player": "p-1"}

var bodies = map[string]any{
	"ban":          map[string]any{"app": "live", "stream": "demo", "action": "publish", "reason": "spam", "ttl": "1h"},
	"send-message": map[string]any{"message": "hello"},
	"sign-url":     map[string]any{"app": "live", "stream": "demo", "action": "play", "proto": "flv", "ttl": 60},
	"make-token":   map[string]any{"app": "live", "user": "u", "room": "r1"},
}

// TestEveryOperationAnswersEveryRoleAsDeclared enumerates both from the document.
func TestEveryOperationAnswersEveryRoleAsDeclared(t *testing.T) {
	c := start(t, newFake(), nil)
	doc := read(t, c)
	operations := 0
	for path, methods := range doc.Paths {
		for method, op := range methods {
			operations++
			for _, role := range []string{"", "wrong", "viewer", "operator", "admin"} {
				t.Run(op.OperationID+" "+role, func(t *testing.T) {
					var ban Ban
					if op.OperationID == "lift-ban" {
						_, body, _ := c.ask("POST", "/api/v1/bans", testTokens["admin"], bodies["ban"], nil)
						if err := json.Unmarshal([]byte(body), &ban); err != nil {
							t.Fatal(err)
						}
					}
					url := path
					for name, value := range examples {
						url = strings.ReplaceAll(url, "{"+name+"}", value)
					}
					url = strings.ReplaceAll(url, "{id}", ban.ID+examples[op.OperationID])
					if op.OperationID == "events" {
						url += "?after=0"
					}
					token := testTokens[role]
					if role == "wrong" {
						token = "wrong"
					}
					status, body, header := c.ask(strings.ToUpper(method), url, token, bodies[op.OperationID], acceptJSON)
					want := 0
					switch {
					case role == "", role == "wrong":
						want = 401
					case !Role(role).covers(op.Role):
						want = 403
					}
					if want != 0 && status != want || want == 0 && status/100 != 2 {
						t.Fatalf("%d %s, want %d", status, body, want)
					}
					declared, ok := op.Responses[strconv.Itoa(status)]
					if !ok {
						declared, ok = op.Responses["default"]
					}
					if !ok {
						t.Fatalf("status %d is not declared", status)
					}
					kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
					content, ok := declared.Content[kind]
					if !ok && len(declared.Content) > 0 {
						t.Fatalf("content type %s is not declared", kind)
					}
					if kind == "application/zip" {
						if body != "PK of the fake node" {
							t.Errorf("answer %.100q", body)
						}
					} else if len(declared.Content) > 0 {
						var value any
						if err := json.Unmarshal([]byte(body), &value); err != nil {
							t.Fatal(err)
						}
						doc.conform(t, content.Schema, value, "answer")
					}
				})
			}
		}
	}
	if operations < 20 {
		t.Errorf("only %d operations", operations)
	}
	for path, methods := range doc.Paths { // the contract's rule, whatever the document says
		for method, op := range methods {
			switch {
			case method != "get" && op.Role == RoleViewer:
				t.Errorf("%s %s: a viewer may", method, path)
			case (strings.HasSuffix(path, "/tokens") || strings.HasSuffix(path, "/reload")) && op.Role != RoleAdmin:
				t.Errorf("%s %s: an operator may", method, path)
			}
		}
	}
}

// TestFaultyBodiesAreRefusedAsDeclared: whatever is wrong with a body, the document has the answer.
func TestFaultyBodiesAreRefusedAsDeclared(t *testing.T) {
	c := start(t, newFake(), nil)
	tested := 0
	for path, methods := range read(t, c).Paths {
		for method, op := range methods {
			if op.RequestBody == nil {
				continue
			}
			tested++
			url := path
			for name, value := range examples {
				url = strings.ReplaceAll(url, "{"+name+"}", value)
			}
			for _, tt := range []struct {
				kind, body string
				want       int
			}{
				{"application/json", `{"app":`, 400},
				{"application/json", "\xff", 400},
				{"application/json", "[]", 422},
				{"application/json", `"text"`, 422},
				{"application/json", `{"surprise":1}`, 422},
				{"text/plain", "app=live", 415},
				{"application/json", `{"app":"` + strings.Repeat("a", 2*maxBodyBytes) + `"}`, 413},
			} {
				status, body, header := c.ask(strings.ToUpper(method), url, testTokens["admin"], nil, func(r *http.Request) {
					r.Body, r.ContentLength = io.NopCloser(strings.NewReader(tt.body)), int64(len(tt.body))
					r.Header.Set("Content-Type", tt.kind)
				})
				if _, declared := op.Responses[strconv.Itoa(status)]; status != tt.want || !declared || header.Get("Content-Type") != "application/problem+json" {
					t.Errorf("%s with %.20q of %s: %d %s %.300s, want %d, declared: %t", op.OperationID, tt.body, tt.kind, status, header.Get("Content-Type"), body, tt.want, declared)
				}
			}
			if _, declared := op.Responses["408"]; !declared {
				t.Errorf("%s: the answer to who never ends is not declared", op.OperationID)
			}
		}
	}
	if tested < 5 {
		t.Errorf("only %d operations", tested)
	}
}

func acceptJSON(r *http.Request) { r.Header.Set("Accept", "application/json") }

// conform checks a value's shape.
func (d *document) conform(t *testing.T, s schema, v any, at string) {
	t.Helper()
	if name, ok := strings.CutPrefix(s.Ref, "#/components/schemas/"); ok {
		s = d.Components.Schemas[name]
	}
	switch v := v.(type) {
	case map[string]any:
		for _, name := range s.Required {
			if _, ok := v[name]; !ok {
				t.Errorf("%s: without %s", at, name)
			}
		}
		for name, value := range v {
			p, ok := s.Properties[name]
			if !ok && s.Properties != nil {
				t.Errorf("%s: %s is not declared", at, name)
			}
			if strings.ToLower(name) != name {
				t.Errorf("%s: %s is not snake_case", at, name)
			}
			d.conform(t, p, value, at+"."+name)
		}
	case []any:
		for i, value := range v {
			if s.Items == nil {
				t.Errorf("%s: a list is not declared", at)
				return
			}
			d.conform(t, *s.Items, value, fmt.Sprintf("%s[%d]", at, i))
		}
	case string:
		if len(s.Enum) > 0 && !slices.Contains(s.Enum, any(v)) {
			t.Errorf("%s: %q is not one of %v", at, v, s.Enum)
		}
	}
}

// TestOperationsStayAsTheyWere fails when an operation, a parameter or a property changes: those
// who use the API are told in CHANGELOG.md, and the list is made anew with -update.
func TestOperationsStayAsTheyWere(t *testing.T) {
	doc := read(t, start(t, newFake(), nil))
	lines := doc.lines()
	got := strings.Join(lines, "\n") + "\n"
	const file = "testdata/operations.txt"
	write(t, file, got)
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range lines {
		if !strings.Contains(string(want), line+"\n") {
			t.Errorf("new or changed: %s", line)
		}
	}
	for line := range strings.Lines(string(want)) {
		if !strings.Contains(got, line) {
			t.Errorf("gone or changed: %s", line)
		}
	}
}

// lines are what a client relies on, one for each operation and schema.
func (d *document) lines() []string {
	var lines []string
	for path, methods := range d.Paths {
		for method, op := range methods {
			line := strings.ToUpper(method) + " " + path + " " + op.OperationID + " " + string(op.Role)
			for _, p := range op.Parameters {
				line += " " + p.In + ":" + p.Name
			}
			var statuses []string
			for status := range op.Responses {
				statuses = append(statuses, status)
			}
			slices.Sort(statuses)
			lines = append(lines, line+" "+strings.Join(statuses, ","))
		}
	}
	for name, s := range d.Components.Schemas {
		var properties []string
		for property, p := range s.Properties {
			text := fmt.Sprint(property, ":", p.Type, strings.TrimPrefix(p.Ref, "#/components/schemas/"))
			if slices.Contains(s.Required, property) {
				text += "!"
			}
			properties = append(properties, text)
		}
		slices.Sort(properties)
		lines = append(lines, "schema "+name+" "+strings.Join(properties, " "))
	}
	slices.Sort(lines)
	return lines
}

// TestWhatTheLastReleasePromisedStays compares with testdata/release.txt, which holds the lines of
// the release that CHANGELOG.md names last, and which nothing writes anew: what a client of that
// release relies on is there, or testdata/changed.txt has it with the words by which CHANGELOG.md
// tells.
func TestWhatTheLastReleasePromisedStays(t *testing.T) {
	text := func(file string) string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	changelog, kept := text("../CHANGELOG.md"), text("testdata/release.txt")
	at := regexp.MustCompile(`(?m)^## \d+\.\d+\.\d+$`).FindStringIndex(changelog)
	if at == nil {
		t.Fatal("CHANGELOG.md names no release")
	}
	version, unreleased := changelog[at[0]:at[1]], changelog[:at[0]]
	if first, _, _ := strings.Cut(kept, "\n"); first != version {
		t.Fatalf("testdata/release.txt is of %q, not of %q: make it of testdata/operations.txt, and empty testdata/changed.txt", first, version)
	}
	told := map[string]string{}
	for line := range strings.Lines(text("testdata/changed.txt")) {
		what, words, _ := strings.Cut(strings.TrimSpace(line), "\t")
		told[what] = words
	}
	doc := read(t, start(t, newFake(), nil))
	for _, lost := range broken(promises(strings.Split(kept, "\n")), promises(doc.lines())) {
		words, ok := told[lost]
		delete(told, lost)
		switch {
		case !ok:
			t.Errorf("gone or changed since %s: %s", version, lost)
		case words == "" || !strings.Contains(unreleased, words):
			t.Errorf("changed since %s: %s, and CHANGELOG.md does not say %q", version, lost, words)
		}
	}
	for what := range told {
		t.Errorf("testdata/changed.txt: %s is as it was", what)
	}
}

// promises are what each operation and schema has: its id, its role, its parameters and statuses;
// its properties with their types.
func promises(lines []string) map[string][]string {
	of := map[string][]string{}
	for _, line := range lines {
		words := strings.Split(line, " ")
		switch last := len(words) - 1; {
		case line == "", words[0] == "##":
		case words[0] == "schema":
			of["schema "+words[1]] = words[2:]
		default:
			has := append(strings.Split(words[last], ","), words[2])
			if words[3] != "" {
				has = append(has, "role:"+words[3])
			}
			of[words[0]+" "+words[1]] = append(has, words[4:last]...)
		}
	}
	return of
}

// broken are the promises that are not kept, in order.
func broken(before, now map[string][]string) []string {
	var list []string
	for what, words := range before {
		has, ok := now[what]
		if !ok {
			list = append(list, what)
			continue
		}
		for _, word := range words {
			if !slices.Contains(has, word) {
				list = append(list, what+" "+word)
			}
		}
	}
	slices.Sort(list)
	return list
}

// A promise that is not kept is found, whatever it is of; what came since is no matter.
func TestBrokenPromisesAreFound(t *testing.T) {
	before := []string{"## 1.0.0", "GET /a list viewer query:app 200,401", "GET /b show viewer 200", "schema S a:string! b:integer", "schema T x:string", ""}
	now := []string{"GET /a list operator query:room 200,403", "GET /c more viewer 200", "schema S a:string! b:number c:string", "schema U x:string"}
	want := "GET /a 401, GET /a query:app, GET /a role:viewer, GET /b, schema S b:integer, schema T"
	if got := strings.Join(broken(promises(before), promises(now)), ", "); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// write writes a file of testdata anew, where the flag wants it.
func write(t *testing.T, file, text string) {
	t.Helper()
	if !*update {
		return
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDocumentIsKept: the console's client is generated from testdata/openapi.json
// (web/package.json), so it is what the server says, always.
func TestDocumentIsKept(t *testing.T) {
	c := start(t, newFake(), nil)
	_, body, _ := c.ask("GET", "/api/openapi.json", "", nil, nil)
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(body), "", " "); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/openapi.json"
	got := strings.TrimSpace(b.String()) + "\n"
	write(t, file, got)
	if kept, err := os.ReadFile(file); err != nil || string(kept) != got {
		t.Errorf("%s is not what the server says now (%v): go test ./admin -update", file, err)
	}
}

package support

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestTailKeepsWholeLines(t *testing.T) {
	tail := NewTail(100)
	for i := range 50 {
		fmt.Fprintf(tail, "line %d\n", i)
	}
	got := string(tail.Bytes())
	if len(got) > 100 || !strings.HasPrefix(got, "line ") || !strings.HasSuffix(got, "line 48\nline 49\n") {
		t.Errorf("%q", got)
	}
	tail = NewTail(10)
	fmt.Fprint(tail, strings.Repeat("a", 25)+"\nbc\n")
	if got := string(tail.Bytes()); got != "bc\n" {
		t.Errorf("%q", got)
	}
	tail = NewTail(10)
	fmt.Fprint(tail, "abc\n")
	if got := string(tail.Bytes()); got != "abc\n" {
		t.Errorf("%q", got)
	}
}

const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdHJlYW0iOiJkZW1vIn0.c2lnbmF0dXJlLW9mLWEtZ3JhbnQ"

func TestRedactCoversCredentials(t *testing.T) {
	r := NewRedactor([]string{`pass"word<&>`, "plain-secret", "abc"})
	quoted, _ := json.Marshal(`pass"word<&>`)
	for _, tt := range []struct{ text, gone, stays string }{
		{"a plain-secret b", "plain-secret", "a xxxxxxxxxxxx b"},
		{"at " + string(quoted), string(quoted[1 : len(quoted)-1]), "at"},
		{"q=" + url.QueryEscape(`pass"word<&>`) + "&b=1", "%22word", "&b=1"},
		{"abcdef", "", "abcdef"}, // too short to be looked for
		{"rtmp://h/live/s?token=" + jwt + "&user=ann", jwt, "&user=ann"},
		{"GET /s.flv?txSecret=0123456789abcdef&txTime=65 HTTP/1.1", "0123456789abcdef", "GET /s.flv?txSecret="},
		{"Authorization: Bearer tok-en_1~2", "tok-en", "Authorization: Bearer x"},
		{"Authorization: Basic dXNlcjpwYXNz\r\n", "dXNlcjpwYXNz", "\r\n"},
		{`{"token":"04AAAA","user":"ann"}`, "04AAAA", `"user":"ann"`},
		{`{"AccessToken":"qq\"qq"}`, "qq", "AccessToken"},
		{`line="{\"token\": \"qq1\\\"qq2\",\"user\":\"ann\"}"`, "qq", `\",\"user\":\"ann\"}"`},
		{`{"token":"cut off`, "cut", `{"token":"xxx`},
		{"X-Liverelay-Signature: 00aa11\r\nHost: h", "00aa11", "Host: h"},
		{"redis://user:hunter2@h:6379/0", "hunter2", "@h:6379/0"},
		{"see " + jwt, jwt, "see x"},
		{"login 04" + strings.Repeat("Ab3+", 20), "Ab3+", "login x"},
		{"https://h/?next=%3Ftoken%3Dvalue1", "value1", "https://h/"},
	} {
		before := len(tt.text)
		got := string(r.Redact([]byte(tt.text)))
		if len(got) != before || tt.gone != "" && strings.Contains(got, tt.gone) || !strings.Contains(got, tt.stays) {
			t.Errorf("%q became %q", tt.text, got)
		}
	}
	for _, fine := range []string{"time=2026-11-28T01:32:32Z level=INFO msg=listening door=rtmp.listen", "liverelay_streams{state=\"live\"} 1", "apps: [{name: \"live\"}]", "admin.token: (secret)",
		"reason=\"access denied: token: expired\"", "time 04:03", "http://127.0.0.1:8080/live/a"} {
		if got := string(r.Redact([]byte(fine))); got != fine {
			t.Errorf("%q became %q", fine, got)
		}
	}
}

// A token that a chunk's header divides (RTMP 1.0 §5.3.1) is covered on both sides of it.
func TestRedactAcrossChunks(t *testing.T) {
	b := append([]byte("s?token="+jwt[:40]), 0xc3)
	b = append(b, jwt[40:]...)
	got := NewRedactor(nil).Redact(append(b, 0, 0, 9))
	if bytes.Contains(got, []byte(jwt[41:60])) || bytes.Contains(got, []byte(jwt[:10])) || got[8+40] != 0xc3 {
		t.Errorf("%q", got)
	}
}

func FuzzRedact(f *testing.F) {
	f.Add([]byte("rtmp://h/live/s?token="+jwt), "plain-secret")
	f.Add([]byte{0xc3, '=', 0xff, 0}, `a"b\c`)
	f.Fuzz(func(t *testing.T, b []byte, secret string) {
		text := append(append(bytes.Clone(b), secret...), b...)
		size := len(text)
		got := NewRedactor([]string{secret}).Redact(text)
		if len(got) != size {
			t.Fatal("another length")
		}
		if len(secret) >= leastSecret && !strings.Contains(secret, "x") && bytes.Contains(got, []byte(secret)) {
			t.Errorf("%q is in %q", secret, got)
		}
	})
}

func TestWireIsBoundedAndCovered(t *testing.T) {
	w := NewWire(200)
	w.Tap(false, []byte("connect?token="+jwt[:20]))
	w.Tap(true, []byte("OK"))
	w.Tap(false, []byte(jwt[20:]+"\x00next"))
	for range 100 {
		w.Tap(true, bytes.Repeat([]byte("m"), 50))
	}
	select {
	case <-w.Full():
	default:
		t.Error("it is not full")
	}
	text := string(w.Bytes(NewRedactor(nil), false))
	if strings.Count(text, "\nI ") != 2 || !strings.Contains(text, "\nO ") || !strings.Contains(text, "000000 63 6f 6e 6e 65 63 74 3f") || !strings.Contains(text, "4f 4b") ||
		!strings.Contains(text, "6e 65 78 74") {
		t.Error(text)
	}
	if strings.Contains(text, fmt.Sprintf("% x", jwt[20:26])) || strings.Contains(text, fmt.Sprintf("% x", jwt[:6])) {
		t.Error("the token is in it")
	}
	sealed := string(w.Bytes(NewRedactor(nil), true))
	if strings.Contains(sealed, "63 6f") || !strings.Contains(sealed, "# 50 bytes") {
		t.Error(sealed)
	}
}

// Lines of a connection are as they were carried, in their order, without what is named a
// credential.
func TestWireLines(t *testing.T) {
	w := NewWire(400)
	w.Tap(false, []byte("{\"id\":1,\n\"token\":\"secret1\",\"resume\":{\"session\":\"secret2\",\"seq\":4}}"))
	w.Tap(true, []byte(`{"id":1,"session":"secret3","url":"rtmp://h/live/s?token=secret4&user=ann"}`))
	for range 100 {
		w.Tap(true, []byte(`{"type":"userUpdate"}`))
	}
	text := string(w.Lines(NewRedactor(nil).Naming("session")))
	lines := strings.Split(text, "\n")
	if strings.Contains(text, "secret") || len(lines) < 10 || !strings.HasPrefix(lines[1], "I ") || !strings.HasSuffix(lines[1], `,"seq":4}}`) ||
		!strings.HasPrefix(lines[2], "O ") || !strings.HasSuffix(lines[2], "&user=ann\"}") || !strings.HasSuffix(lines[3], ` {"type":"userUpdate"}`) ||
		!strings.Contains(lines[0], " bytes more were carried") || len(text) > 1000 {
		t.Error(text)
	}
}

func open(t *testing.T, b *Bundle) map[string]string {
	t.Helper()
	var file bytes.Buffer
	n, err := b.WriteTo(&file)
	if err != nil || n != int64(file.Len()) || n > MaxBundle {
		t.Fatalf("%d of %d bytes, %v", n, file.Len(), err)
	}
	z, err := zip.NewReader(bytes.NewReader(file.Bytes()), n)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range z.File {
		if f.Modified.Year() < 2020 {
			t.Errorf("%s is of %s", f.Name, f.Modified)
		}
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(content)
	}
	return files
}

// Whatever is put in, a bundle keeps its bound, and says what it lacks.
func TestBundleIsBounded(t *testing.T) {
	noise := make([]byte, 7<<20) // nothing makes it smaller
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(noise)
	b := NewBundle("about plain-secret", NewRedactor([]string{"plain-secret"}))
	b.AddText("config.txt", []byte("a: plain-secret\n"), 1000, false)
	b.AddText("log.txt", append(bytes.Clone(noise[:2<<20]), "the end\n"...), 1<<20, true)
	b.AddBinary("trace.out", noise)
	b.AddBinary("small", []byte("small"))
	b.AddText("players.json", bytes.Clone(noise), 8<<20, false)
	b.AddText("rooms.json", bytes.Clone(noise), 8<<20, false)
	b.Missing("heap", io.ErrUnexpectedEOF)
	files := open(t, b)
	if files["config.txt"] != "a: xxxxxxxxxxxx\n" || !strings.HasSuffix(files["log.txt"], "the end\n") || len(files["log.txt"]) != 1<<20 || files["small"] != "small" {
		t.Errorf("%d files, config %q, log %d", len(files), files["config.txt"], len(files["log.txt"]))
	}
	if _, ok := files["trace.out"]; ok || len(files["players.json"]) < 3<<20 {
		t.Errorf("players %d", len(files["players.json"]))
	}
	about := files["README.txt"]
	for _, line := range []string{"about xxxxxxxxxxxx\n", "trace.out: is not here: its 7340032 bytes do not fit\n", "log.txt: 1048576 of its 2097160 bytes\n", "heap: is not here"} {
		if !strings.Contains(about, line) {
			t.Errorf("no %q in %s", line, about)
		}
	}
}

func TestTraceKeepsTheLastSecondsOrTakesTheNext(t *testing.T) {
	var trace Trace
	for _, keep := range []bool{false, true, true, false} {
		if err := trace.Keep(keep); err != nil {
			t.Fatal(err)
		}
		b, err := trace.Bytes(t.Context())
		if err != nil || !bytes.HasPrefix(b, []byte("go 1.")) {
			t.Errorf("%t: %d bytes, %v", keep, len(b), err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := trace.Bytes(ctx); err == nil {
		t.Error("it waits for who has gone")
	}
}

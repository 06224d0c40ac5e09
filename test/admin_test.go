package test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"liverelay/auth"
	"liverelay/server/servertest"
	"liverelay/test/proc"
	"liverelay/test/wait"
)

// send posts JSON to the admin API.
func (n *node) send(path string, body any) (int, string) {
	n.t.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		n.t.Fatal(err)
	}
	request, err := http.NewRequest("POST", "http://"+n.admin+"/api/v1/"+path, bytes.NewReader(text))
	if err != nil {
		n.t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	request.Header.Set("Content-Type", "application/json")
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		n.t.Fatal(err)
	}
	defer reply.Body.Close()
	answer, err := io.ReadAll(reply.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return reply.StatusCode, string(answer)
}

// signed is an address that the admin API makes.
func (n *node) signed(wish map[string]any) string {
	n.t.Helper()
	var signed struct{ URL string }
	status, answer := n.send("urls", wish)
	if err := json.Unmarshal([]byte(answer), &signed); err != nil || status != 200 {
		n.t.Fatalf("urls: %d %s", status, answer)
	}
	return signed.URL
}

// countBytes plays an address over HTTP and tells, once it ended, how many bytes came.
func countBytes(t *testing.T, url, agent string) (bytes func() int64) {
	t.Helper()
	request, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("User-Agent", agent)
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if reply.StatusCode != 200 {
		t.Fatalf("play: %s", reply.Status)
	}
	done := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, reply.Body) // until it ends, however that is
		done <- n
	}()
	t.Cleanup(func() { reply.Body.Close() })
	return func() int64 {
		t.Helper()
		select {
		case n := <-done:
			return n
		case <-time.After(wait.Long):
			t.Fatal("the player was not ended")
			return 0
		}
	}
}

type adminPlayers struct {
	Players []struct {
		ID, Protocol, Remote, User string
		UserAgent                  string         `json:"user_agent"`
		Backlog                    *int64         `json:"backlog_ms"`
		Dropped                    map[string]int `json:"dropped"`
		Kbps                       int            `json:"bitrate_kbps"`
		Node                       string
	}
}

// TestAdminShowsKicksAndBansWhatIsThere: a stream with players of two protocols, as an operator
// sees it, and what becomes of them.
func TestAdminShowsKicksAndBansWhatIsThere(t *testing.T) {
	need(t, "ffmpeg")
	n := start(t, "")
	sign := func(action, proto, user string) string {
		return n.signed(map[string]any{"app": "live", "stream": "demo", "action": action, "proto": proto, "user": user, "ttl": "1h"})
	}
	pushPicture(t, sign("publish", "rtmp", "pub"), 0)
	n.live("live/demo")
	kicked := countBytes(t, sign("play", "flv", "ann"), "test-agent/1")
	proc.Run(t, "ffmpeg", "-hide_banner", "-loglevel", "error", "-i", sign("play", "rtmp", "bob"), "-f", "null", "-")

	var list adminPlayers
	n.await("both players with a bitrate", func() bool {
		n.api("GET", "/api/v1/players?app=live&stream=demo&sort=user", &list)
		return len(list.Players) == 2 && list.Players[0].Kbps > 0 && list.Players[1].Kbps > 0
	})
	ann, bob := list.Players[0], list.Players[1]
	if ann.User != "ann" || ann.Protocol != "http-flv" || ann.UserAgent != "test-agent/1" || !strings.HasPrefix(ann.Remote, "127.0.0.1:") ||
		ann.Backlog == nil || ann.Dropped == nil || ann.Node == "" {
		t.Errorf("ann: %+v", ann)
	}
	if bob.User != "bob" || bob.Protocol != "rtmp" || bob.UserAgent == "" {
		t.Errorf("bob: %+v", bob)
	}
	var stream struct {
		Node      string
		State     string
		Viewers   int
		Kbps      int `json:"bitrate_kbps"`
		GOP       int `json:"gop_ms"`
		Publisher struct {
			User, Protocol string
			UserAgent      string `json:"user_agent"`
		}
		Video struct {
			Codec         string
			Width, Height int
			FrameRate     float64 `json:"frame_rate"`
		}
		Carriers []struct{ Node string }
	}
	n.await("the stream's figures", func() bool {
		n.api("GET", "/api/v1/streams/live/demo", &stream)
		return stream.GOP > 0 && stream.Video.FrameRate > 20
	})
	if stream.State != "live" || stream.Viewers != 2 || stream.Video.Width != 320 || stream.GOP != 1000 || stream.Publisher.User != "pub" ||
		stream.Publisher.UserAgent == "" || len(stream.Carriers) != 1 || stream.Carriers[0].Node != stream.Node || stream.Node != ann.Node {
		t.Errorf("%+v", stream)
	}

	if status := n.api("DELETE", "/api/v1/players/"+ann.ID, nil); status != 204 {
		t.Fatalf("kick: %d", status)
	}
	kicked()
	if status := n.api("DELETE", "/api/v1/players/"+ann.ID, nil); status != 404 {
		t.Errorf("kicked twice: %d", status)
	}
	again := countBytes(t, sign("play", "flv", "ann"), "test-agent/1") // a kick is no ban
	if status, answer := n.send("bans", map[string]any{"app": "live", "user": "ann", "reason": "spam"}); status != 201 {
		t.Fatalf("ban: %d %s", status, answer)
	}
	again()
	if reply, err := http.Get(sign("play", "flv", "ann")); err != nil || reply.StatusCode == 200 {
		t.Errorf("the banned one plays on: %v", err)
	} else {
		reply.Body.Close()
	}
	n.api("GET", "/api/v1/players?user=bob", &list)
	if len(list.Players) != 1 {
		t.Error("the other one was ended, too")
	}
	if status, _ := n.send("bans", map[string]any{"app": "live", "stream": "demo"}); status != 201 {
		t.Fatalf("forbid the stream: %d", status)
	}
	n.await("the stream's end", func() bool { return n.api("GET", "/api/v1/streams/live/demo", nil) == 404 })
	if !strings.Contains(n.output.String(), "audit") {
		t.Error("no change is in the log")
	}
}

// TestUsageEqualsWhatPlayersCounted: signed reports to the apps' backend, and the same by the API.
func TestUsageEqualsWhatPlayersCounted(t *testing.T) {
	need(t, "ffmpeg")
	const secret = "a-secret-of-the-hooks"
	var mu sync.Mutex
	sums, sequence := map[string]uint64{}, uint64(0)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var report struct {
			Event    string
			Sequence uint64
			Usage    []struct {
				User, Action string
				Bytes        uint64
			}
		}
		if json.Unmarshal(body, &report) != nil || report.Event != "usage" {
			return // a room's
		}
		mu.Lock()
		defer mu.Unlock()
		if err := auth.VerifyBody(secret, r.Header, body, time.Now()); err != nil {
			t.Errorf("signature: %v", err)
		}
		if sequence++; report.Sequence != sequence {
			t.Errorf("sequence %d, want %d", report.Sequence, sequence)
		}
		for _, u := range report.Usage {
			sums[u.Action+" "+u.User] += u.Bytes
		}
	}))
	defer backend.Close()
	n := start(t, fmt.Sprintf("hooks: {events: %q, secret: %q, usage_interval: 1s}", backend.URL, secret))
	sign := func(action, proto, user string) string {
		return n.signed(map[string]any{"app": "live", "stream": "demo", "action": action, "proto": proto, "user": user})
	}
	publisher := pushPicture(t, sign("publish", "rtmp", "pub"), 6)
	n.live("live/demo")
	counted := map[string]int64{}
	var ends []func()
	for _, user := range []string{"ann", "bob"} {
		bytes := countBytes(t, sign("play", "flv", user), "x")
		ends = append(ends, func() { counted["play "+user] = bytes() - 13 }) // the file's header is no media
	}
	<-publisher.Done
	for _, end := range ends {
		end()
	}
	within := func(got uint64, want int64) bool {
		return float64(got) > 0.999*float64(want) && float64(got) < 1.001*float64(want)
	}
	n.await("reports of all that was played", func() bool {
		mu.Lock()
		defer mu.Unlock()
		for key, bytes := range counted {
			if !within(sums[key], bytes) {
				return false
			}
		}
		return sums["publish pub"] > 0
	})
	var list struct {
		Usage []struct {
			User, Action string
			Bytes        uint64
			Seconds      float64
		}
	}
	n.api("GET", "/api/v1/usage?app=live&user=ann&action=play", &list)
	total, seconds := uint64(0), 0.0
	for _, u := range list.Usage {
		total, seconds = total+u.Bytes, seconds+u.Seconds
	}
	if !within(total, counted["play ann"]) || seconds < 1 || seconds > 60 {
		t.Errorf("the API has %d bytes in %.1f s, the player counted %d", total, seconds, counted["play ann"])
	}
}

// TestUsageOfAKilledNode: a report holds all that was played until it was made, so who is killed
// takes with it what came since its last one, and what was reported counts once.
func TestUsageOfAKilledNode(t *testing.T) {
	need(t, "ffmpeg")
	const late = 5 * time.Second // a busy machine counts what it has sent within that, and reports each second
	var mu sync.Mutex
	var reported, sequence, due int64
	type read struct {
		at    time.Time
		total int64
	}
	played := []read{{}} // by the player's own count
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var report struct {
			Event    string
			Sequence int64
			To       time.Time
			Usage    []struct {
				Action string
				Bytes  int64
			}
		}
		if json.NewDecoder(r.Body).Decode(&report) != nil || report.Event != "usage" {
			return // a room's
		}
		mu.Lock()
		defer mu.Unlock()
		if sequence++; report.Sequence != sequence {
			t.Errorf("sequence %d, want %d", report.Sequence, sequence)
		}
		for _, u := range report.Usage {
			if u.Action == "play" {
				reported += u.Bytes
			}
		}
		for _, r := range played {
			if r.at.Before(report.To.Add(-late)) {
				due = r.total
			}
		}
		if reported < due {
			t.Errorf("report %d: %d bytes in all, %d were played %v before it was made", sequence, reported, due, late)
		}
	}))
	defer backend.Close()
	n := start(t, fmt.Sprintf("hooks: {events: %q, secret: a-secret-of-the-hooks, usage_interval: 1s}", backend.URL))
	sign := func(action, proto string) string {
		return n.signed(map[string]any{"app": "live", "stream": "demo", "action": action, "proto": proto, "user": "u"})
	}
	pushPicture(t, sign("publish", "rtmp"), 0)
	n.live("live/demo")
	reply, err := http.Get(sign("play", "flv"))
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	if _, err := io.ReadFull(reply.Body, make([]byte, 13)); err != nil { // the file's header is no media
		t.Fatal(err)
	}
	ended := make(chan int64)
	go func() {
		buffer, total := make([]byte, 32<<10), int64(0)
		for {
			n, err := reply.Body.Read(buffer)
			total += int64(n)
			mu.Lock()
			played = append(played, read{time.Now(), total})
			mu.Unlock()
			if err != nil {
				ended <- total
				return
			}
		}
	}()
	n.await("reports of what was played", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return due > 0
	})
	n.kill()
	select {
	case total := <-ended:
		mu.Lock()
		defer mu.Unlock()
		if reported > total+1<<20 { // more was on its way than came: what a socket holds
			t.Errorf("%d bytes were reported, %d played", reported, total)
		}
	case <-time.After(wait.Long):
		t.Fatal("the player was not ended")
	}
}

const clientProgram = `package main

import (
	"context"
	"fmt"
	"net/http"
	"os"

	"client/api"
)

func main() {
	c, err := api.NewClientWithResponses(os.Args[1], api.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		r.Header.Set("Authorization", "Bearer "+os.Args[2])
		return nil
	}))
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	app, stream, user, reason := "live", "demo", "ann", "spam"
	streams, err := c.ListStreamsWithResponse(ctx, &api.ListStreamsParams{App: &app})
	if err != nil || streams.JSON200 == nil {
		panic(fmt.Sprint(err, streams))
	}
	fmt.Println("stream", streams.JSON200.Streams[0].Stream, streams.JSON200.Streams[0].State, streams.JSON200.Streams[0].Viewers)
	players, err := c.ListPlayersWithResponse(ctx, &api.ListPlayersParams{App: &app, Stream: &stream})
	if err != nil || players.JSON200 == nil {
		panic(fmt.Sprint(err, players))
	}
	p := players.JSON200.Players[0]
	fmt.Println("player", *p.User, p.Protocol)
	kick, err := c.KickPlayerWithResponse(ctx, p.Id, &api.KickPlayerParams{Reason: &reason})
	if err != nil {
		panic(err)
	}
	fmt.Println("kick", kick.StatusCode())
	ban, err := c.BanWithResponse(ctx, api.BanJSONRequestBody{App: &app, User: &user, Reason: &reason})
	if err != nil || ban.JSON201 == nil {
		panic(fmt.Sprint(err, ban))
	}
	bans, err := c.ListBansWithResponse(ctx, &api.ListBansParams{})
	if err != nil || bans.JSON200 == nil {
		panic(fmt.Sprint(err, bans))
	}
	fmt.Println("bans", len(bans.JSON200.Bans), bans.JSON200.Bans[0].Kind, *bans.JSON200.Bans[0].User)
	lift, err := c.LiftBanWithResponse(ctx, ban.JSON201.Id, &api.LiftBanParams{})
	if err != nil {
		panic(err)
	}
	fmt.Println("lift", lift.StatusCode())
}
`

// TestAdminClientMadeFromTheDocument generates a client from what the node serves, and has it list,
// kick and ban.
func TestAdminClientMadeFromTheDocument(t *testing.T) {
	need(t, "ffmpeg", "go")
	const generator = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"
	dir := t.TempDir()
	command := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		cmd := exec.CommandContext(ctx, "go", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := command("run", generator, "--version"); err != nil {
		t.Skipf("the generator cannot be had: %s", tail(out, 200))
	}
	n := start(t, "")
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	reply, err := http.Get("http://" + n.admin + "/api/openapi-3.0.json")
	if err != nil {
		t.Fatal(err)
	}
	document, err := io.ReadAll(reply.Body)
	reply.Body.Close()
	if err != nil || reply.StatusCode != 200 {
		t.Fatalf("the document: %s %v", reply.Status, err)
	}
	file("go.mod", []byte("module client\n\ngo 1.24\n\nrequire github.com/oapi-codegen/runtime v1.9.0\n"))
	file("main.go", []byte(clientProgram))
	file("api/none.go", []byte("package api\n"))
	if out, err := command("run", generator, "-generate", "types,client", "-package", "api", "-o", "api/api.go", file("openapi.json", document)); err != nil {
		t.Fatalf("generate: %v\n%s", err, out)
	}
	if out, err := command("build", "-o", "client", "."); err != nil {
		t.Fatalf("build: %v\n%s", err, tail(out, 4000))
	}
	pushPicture(t, n.signed(map[string]any{"app": "live", "stream": "demo", "action": "publish", "user": "pub"}), 0)
	n.live("live/demo")
	ended := countBytes(t, n.signed(map[string]any{"app": "live", "stream": "demo", "action": "play", "proto": "flv", "user": "ann"}), "x")
	out, err := exec.Command(filepath.Join(dir, "client"), "http://"+n.admin, adminToken).CombinedOutput()
	if err != nil {
		t.Fatalf("client: %v\n%s", err, out)
	}
	ended()
	want := "stream demo live 1\nplayer ann http-flv\nkick 204\nbans 1 user ann\nlift 204\n"
	if string(out) != want {
		t.Errorf("the client printed\n%swant\n%s", out, want)
	}
}

// An operator is told before the certificate ends, and of a renewal that went wrong.
func TestMetricsTellWhenTheCertificateEnds(t *testing.T) {
	certFile, keyFile := servertest.Certificate(t)
	t.Setenv("LIVERELAY_HTTP_TLS_LISTEN", proc.FreeAddr(t))
	n := start(t, fmt.Sprintf("tls: {cert: %q, key: %q}\n", certFile, keyFile))
	ends := time.Unix(int64(n.metric("liverelay_tls_certificate_expires_timestamp_seconds")), 0)
	if left := time.Until(ends); left <= 0 || left > 100*365*24*time.Hour {
		t.Errorf("the certificate ends at %s", ends)
	}
	if err := os.WriteFile(certFile, []byte("half a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.await("a renewal that is refused", func() bool { return n.metric(`liverelay_tls_certificate_reloads_total{result="refused"}`) == 1 })
}

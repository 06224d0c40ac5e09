package server

import (
	"bytes"
	"io"
	"net/http"
	"os"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"liverelay/config"
	"liverelay/test/wait"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secretA = "0123456789abcdef0123456789abcdef"

// oneApp configures one app, and ports that the system chooses.
func oneApp() config.Config {
	cfg := config.Default()
	app := config.DefaultApp()
	app.Name, app.ID, app.Secret = "live", 1, config.Secret{secretA}
	cfg.Apps = []config.App{app}
	cfg.RTMP.Listen, cfg.HTTP.Listen, cfg.Admin.Listen = "127.0.0.1:0", "127.0.0.1:0", ""
	cfg.WebRTC.Listen = "127.0.0.1:0"
	return cfg
}

// start runs a server until the test ends.
func start(t *testing.T, cfg config.Config) *Server {
	t.Helper()
	return startLogged(t, cfg, &output{})
}

// startLogged does, and keeps what the server logs.
func startLogged(t *testing.T, cfg config.Config, log *output) *Server {
	t.Helper()
	s, err := New(t.Context(), Options{Config: cfg, Version: "test", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.Start()
	return s
}

// output is where a running server logs; read while it does.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// media is the beginning of an FLV file.
func media(t *testing.T) []byte {
	t.Helper()
	file, err := os.ReadFile("../cmd/liverelay/demo.flv")
	if err != nil {
		t.Fatal(err)
	}
	return file[:100_000]
}

// get asks over a connection of its own.
func get(t *testing.T, url, authorization string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: wait.Long}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

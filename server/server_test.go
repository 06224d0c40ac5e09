package server

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"liverelay/config"
	"liverelay/test/proc"
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
	return startLogged(t, cfg, &proc.Output{})
}

// startLogged does, and keeps what the server logs.
func startLogged(t *testing.T, cfg config.Config, log *proc.Output) *Server {
	t.Helper()
	s, err := New(t.Context(), Options{Config: cfg, Version: "test", Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	s.Start()
	return s
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

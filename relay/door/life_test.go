package door

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// Every door says the same words of the same thing.
func TestLife(t *testing.T) {
	ended := errors.New("ended by the peer")
	for _, g := range []struct {
		role    string
		started bool
		result  string
		reason  error
		want    string
	}{
		{RolePublisher, true, "ended", ended, `level=INFO msg="publisher ended" stream=live/x user=u remote=192.0.2.1:9 protocol=rtmp seconds=2.5 result=ended reason="ended by the peer"`},
		{RolePublisher, true, "protocol", ended, `level=WARN msg="publisher ended" `},
		{RolePublisher, false, "denied", ended, `level=INFO msg="publisher refused" `},
		{RolePublisher, false, "lost", ended, `level=INFO msg="publisher ended" `},
		{RolePlayer, true, "kicked", nil, `level=DEBUG msg="player ended" stream=live/x user=u remote=192.0.2.1:9 protocol=rtmp seconds=2.5 result=kicked` + "\n"},
		{RolePlayer, true, "protocol", ended, `level=WARN msg="player ended" `},
		{RolePlayer, false, "protocol", ended, `level=INFO msg="player refused" `},
		{RolePlayer, false, "not_found", ended, `level=INFO msg="player refused" `},
		{RolePlayer, false, "lost", ended, `level=DEBUG msg="player ended" `},
	} {
		var out bytes.Buffer
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
		began := time.Now().Add(-2500 * time.Millisecond)
		life := Life{Log: log, Role: g.role, Stream: "live/x", User: "u", Remote: netip.MustParseAddrPort("192.0.2.1:9"), Protocol: "rtmp", Began: began}
		if life.End(g.started, g.result, g.reason); !strings.Contains(out.String(), g.want) && time.Since(began) < 2549*time.Millisecond {
			t.Errorf("%s, started %v, %s: %s", g.role, g.started, g.result, out.String())
		}
	}
	var out bytes.Buffer
	Life{Log: slog.New(slog.NewTextHandler(&out, nil)), Role: RolePublisher, Protocol: "ws-flv"}.Start()
	if !strings.Contains(out.String(), `level=INFO msg="publisher started" remote="invalid AddrPort" protocol=ws-flv`) {
		t.Error("without a stream and a user: ", out.String())
	}
}

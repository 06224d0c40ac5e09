package door

import (
	"context"
	"log/slog"
	"math"
	"net/netip"
	"time"
)

// Life writes what the log says of one publisher or player, the same at every door: that it
// started, and how it ended, in one line, or that it was refused. Publishers are few and their
// lines are INFO; those of viewers are DEBUG, as thousands come and go. Refusals, of
// publishers and players, are INFO: somebody will ask why. Wrong bytes after a permit are WARN.
type Life struct {
	Log      *slog.Logger
	Role     string // "publisher" or "player"
	Stream   string // "app/stream"
	User     string // "": nobody in particular
	Remote   netip.AddrPort
	Protocol string
	Began    time.Time // zero: not known
	ID       string    // of a player, as operators know it; "": it has none yet
	Session  string    // in its grant, which its member in a room has too; "": none
}

// The roles.
const (
	RolePublisher = "publisher"
	RolePlayer    = "player"
)

// Results of sessions that every door has.
const (
	ResultEnded    = "ended"    // in good order
	ResultLost     = "lost"     // the connection broke
	ResultProtocol = "protocol" // wrong bytes
)

// Start says that it publishes or plays.
func (l Life) Start() { l.write(l.usual(), l.Role+" started") }

// End says how it ended: result is the door's label in Stats, reason is for the log only. One that
// never started was refused, unless it left by itself.
func (l Life) End(started bool, result string, reason error) {
	level, what := l.usual(), " ended"
	switch {
	case started && result == ResultProtocol:
		level = slog.LevelWarn
	case !started && result != ResultEnded && result != ResultLost:
		level, what = slog.LevelInfo, " refused"
	}
	var attrs []slog.Attr
	if !l.Began.IsZero() {
		attrs = append(attrs, slog.Float64("seconds", Seconds(time.Since(l.Began))))
	}
	attrs = append(attrs, slog.String("result", result))
	if reason != nil {
		attrs = append(attrs, slog.String("reason", reason.Error()))
	}
	l.write(level, l.Role+what, attrs...)
}

// Seconds is a duration as the log has it: in tenths.
func Seconds(d time.Duration) float64 { return math.Round(d.Seconds()*10) / 10 }

func (l Life) usual() slog.Level {
	if l.Role == RolePublisher {
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func (l Life) write(level slog.Level, text string, more ...slog.Attr) {
	if !l.Log.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	if l.Stream != "" {
		attrs = append(attrs, slog.String("stream", l.Stream))
	}
	if l.User != "" {
		attrs = append(attrs, slog.String("user", l.User))
	}
	attrs = append(attrs, slog.String("remote", l.Remote.String()), slog.String("protocol", l.Protocol))
	if l.ID != "" {
		attrs = append(attrs, slog.String("id", l.ID))
	}
	if l.Session != "" {
		attrs = append(attrs, slog.String("session", l.Session))
	}
	l.Log.LogAttrs(context.Background(), level, text, append(attrs, more...)...)
}

package server

import (
	"io"
	"log/slog"
	"time"

	"liverelay/config"
)

// newLog returns the server's log, and its level, which may be changed. The values are checked.
func newLog(cfg config.Log, w io.Writer) (*slog.Logger, *slog.LevelVar) {
	level := &slog.LevelVar{}
	level.Set(levelOf(cfg))
	options := &slog.HandlerOptions{Level: level}
	if cfg.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options)), level
	}
	options.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			a.Value = slog.StringValue(a.Value.Time().Format(time.RFC3339))
		}
		return a
	}
	return slog.New(slog.NewTextHandler(w, options)), level
}

func levelOf(cfg config.Log) (level slog.Level) {
	_ = level.UnmarshalText([]byte(cfg.Level)) // debug, info, warn, error: all known
	return level
}

package door

import (
	"sync/atomic"
	"time"

	"liverelay/relay"
)

// Defaults are what a door does where a peer says nothing else.
type Defaults struct {
	Start          relay.StartMode // of players that choose none
	PublishTimeout time.Duration   // a publisher that cannot be reached for so long is gone [5s]
}

// Settings hold the [Defaults] of one door or several, and may be changed at any time: sessions
// that begin take the new ones. The zero value is ready.
type Settings struct{ current atomic.Pointer[Defaults] }

const publishTimeout = 5 * time.Second

// Set replaces the defaults.
func (s *Settings) Set(d Defaults) { s.current.Store(&d) }

// Get returns the defaults; those of no Settings, too.
func (s *Settings) Get() Defaults {
	d := Defaults{}
	if s != nil && s.current.Load() != nil {
		d = *s.current.Load()
	}
	if d.PublishTimeout <= 0 {
		d.PublishTimeout = publishTimeout
	}
	return d
}

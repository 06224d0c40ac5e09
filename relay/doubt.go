package relay

import (
	"context"
	"time"
)

// Where streams may be elsewhere, one whose publisher here is lost or says nothing may be published
// there by now. A player who has seen that comes here, and must not be shown what was before. So in
// a relay with a [Source] newcomers wait until something comes. Who is there already stays.

const (
	doubtAfter = time.Second     // without a frame the publisher, or a copy's, may be elsewhere
	doubtUntil = 6 * time.Second // and is not: else its door or its source would have ended it
)

// doubt returns for how long, at most, what the stream has may be of the past, and what is closed
// when the next frame comes; nil: it is of now.
func (st *Stream) doubt(now time.Time) (spoke <-chan struct{}, most time.Duration) {
	if st.relay.demand == nil || st.derived != nil {
		return nil, 0
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	quiet := now.Sub(st.timeline.arrival)
	switch {
	case !st.timeline.ran, st.filledLocked() && !st.timeline.fresh:
		return nil, 0
	case st.publisher == nil, st.timeline.fresh:
		most = time.Hour
	case quiet >= doubtAfter && quiet < doubtUntil:
		most = doubtUntil - quiet
	default:
		return nil, 0
	}
	if st.spoke == nil {
		st.spoke = make(chan struct{})
	}
	return st.spoke, most
}

// beyondDoubt waits until what the stream has is of now, or it has ended. Who publishes a copy does
// not wait: the stream may be another's meanwhile, and it asks again.
func (st *Stream) beyondDoubt(ctx context.Context, timeout <-chan time.Time, o *SubscribeOptions) error {
	for {
		spoke, most := st.doubt(time.Now())
		switch {
		case spoke == nil:
			return nil
		case o.Options == CopyOptions:
			return ErrNotFound
		}
		enough := time.NewTimer(most)
		defer enough.Stop()
		select {
		case <-spoke:
		case <-enough.C:
		case <-st.over:
			return nil
		case <-timeout:
			return ErrNotFound
		case <-ctx.Done():
			return ctx.Err()
		case <-st.relay.stop:
			return ErrClosed
		}
	}
}

// speakLocked wakes those who wait for a frame.
func (st *Stream) speakLocked() {
	if st.spoke != nil {
		close(st.spoke)
		st.spoke = nil
	}
}

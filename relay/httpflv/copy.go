package httpflv

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"liverelay/relay"
	"liverelay/relay/door"
)

// ProtocolNode is the protocol of another node that takes a copy of a stream.
const ProtocolNode = "node"

// headerClock says what the timestamps of a copy are the low 32 bits of: a DTS of the stream, near
// the first that follows.
const headerClock = "Liverelay-Clock"

// headerShift says how far, in ms, they are ahead of the origin's.
const headerShift = "Liverelay-Shift"

// ServeCopy plays a stream to another node, which the caller knows: as it was published, on its own
// clock, from the last keyframe. What stands in the reply's header goes out with it.
func (h *Handler) ServeCopy(w http.ResponseWriter, r *http.Request, name relay.Name) {
	h.init()
	if !h.begin() {
		h.refuse(w, r, relay.ErrClosed)
		return
	}
	defer h.wait.Done()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.base, cancel)()
	o := options{PlayOptions: relay.CopyOptions}
	a := relay.Access{Name: name, Protocol: ProtocolNode, Remote: door.Remote(r)}
	if err := h.play(ctx, w, r, a, relay.Grant{}, o); err != nil {
		h.refuse(w, r, fmt.Errorf("copy %s: %w", name, err))
	}
}

// setClock says what the timestamps are that follow.
func setClock(h http.Header, s *relay.Subscriber) {
	h.Set(headerClock, strconv.FormatInt(s.Clock(), 10))
	h.Set(headerShift, strconv.FormatInt(s.Shift(), 10))
}

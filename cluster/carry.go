package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// A publisher that comes to a draining node is carried to another one: here it has a stream under a
// name that nobody else can have, [relay.Carried], and the other node, asked to, pulls that and
// publishes it as its own. So the other one is the origin, for rooms and nodes, and the publisher's
// connection stays as it is. When the other node is gone, or drains, too, the next one is asked.

// passenger is a publisher that is to be carried.
type passenger struct {
	relay.Name // where it publishes
	Grant      relay.Grant
	Protocol   string
	Remote     netip.AddrPort
}

// What a node says at last of a publisher that it carried.
const (
	carryOver     = "over"     // it has ended
	carryReplaced = "replaced" // by another publisher
	carryEnded    = "ended"    // by the relay there, for good
	carryAgain    = "again"    // by nobody: another node may go on
)

// carry has other nodes publish e's stream, until it has ended.
func (n *Node) carry(e relay.StreamEvent) {
	from := e.Name
	to := passenger{relay.Name{App: from.App, Stream: strings.TrimSuffix(from.Stream, relay.Carried)}, e.Grant, e.Protocol, e.Remote}
	for pause := retryLeast; n.ctx.Err() == nil; pause = min(2*pause, retryMost) {
		if _, ok := n.relay.Stream(from); !ok {
			return
		}
		if other, ok := n.Elsewhere(); ok {
			began := time.Now()
			said, err := n.carryTo(other, to)
			n.log.Info("publisher was carried", "stream", to.Name.String(), "node", other.ID, "said", said, "error", err)
			var refused *statusError
			switch {
			case said == carryOver:
				return
			case said == carryReplaced:
				n.relay.Lose(from, relay.ErrReplaced)
				return
			case said == carryEnded, errors.As(err, &refused) && refused.status == http.StatusConflict:
				n.relay.EndIn(from, func(s relay.Endpoint) bool { return s.Action == relay.ActionPublish }, relay.ErrKicked)
				return
			case time.Since(began) > quietAfter:
				pause = retryLeast
			}
		}
		sleep(n.ctx, jitter(pause))
	}
}

// carryTo has one node publish it, and returns what that says at last.
func (n *Node) carryTo(other Info, p passenger) (string, error) {
	b, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	body, _, err := n.get(n.ctx, other.Address, "/node/carry?q="+url.QueryEscape(string(b)))
	if err != nil {
		return "", err
	}
	defer body.Close()
	said, err := io.ReadAll(io.LimitReader(body, 100))
	return string(said), err
}

// serveCarry publishes what another node has a publisher of, as one of this node.
func (n *Node) serveCarry(w http.ResponseWriter, r *http.Request, from Info) {
	var p passenger
	err := json.Unmarshal([]byte(r.URL.Query().Get("q")), &p)
	if name, bad := relay.ParseName(p.App, p.Stream); err != nil || bad != nil || name != p.Name || n.draining.Load() {
		http.Error(w, "not carried", http.StatusBadRequest)
		return
	}
	p.Grant.Carried = false
	if p.Grant.Behind, err = n.Admit(p.Name, p.Grant); err != nil {
		http.Error(w, "stream busy", http.StatusConflict)
		return
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	defer context.AfterFunc(n.ctx, func() { cancel(nil) })()
	q := url.Values{"app": {p.App}, "stream": {p.Stream + relay.Carried}}
	body, _, err := n.get(ctx, from.Address, "/node/pull?"+q.Encode())
	if err != nil {
		http.Error(w, "not reached", http.StatusBadGateway)
		return
	}
	defer body.Close()
	tags := flv.NewReader(body, flv.MaxPayload)
	if _, _, err = tags.ReadHeader(); err != nil {
		http.Error(w, "not a stream", http.StatusBadGateway)
		return
	}
	publisher, err := n.relay.Publish(p.Name, relay.PublishOptions{
		Grant: p.Grant, Protocol: p.Protocol, Remote: p.Remote, OnEnd: func(err error) { cancel(err) },
	})
	if err != nil {
		http.Error(w, "stream busy", http.StatusConflict)
		return
	}
	if err = http.NewResponseController(w).Flush(); err == nil {
		err = cause(ctx, writeTags(publisher, tags))
	}
	publisher.Close(errors.Is(err, io.EOF))
	_, _ = fmt.Fprint(w, saidOf(err))
}

// saidOf is what the node that carries says of an end.
func saidOf(err error) string {
	switch {
	case errors.Is(err, io.EOF):
		return carryOver
	case errors.Is(err, relay.ErrReplaced):
		return carryReplaced
	case errors.Is(err, relay.ErrKicked), errors.Is(err, relay.ErrExpired), errors.Is(err, relay.ErrIdle), errors.Is(err, relay.ErrRate):
		return carryEnded
	}
	return carryAgain
}

// writeTags gives a publisher what comes, until it fails or ends.
func writeTags(p *relay.Publisher, tags *flv.Reader) error {
	for {
		tag, buffer, err := p.ReadTag(tags)
		if err != nil {
			return err
		}
		if err := p.WriteBuffer(tag.Kind, tag.Timestamp, buffer); err != nil {
			return err
		}
	}
}

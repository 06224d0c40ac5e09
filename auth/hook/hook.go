// Package hook asks the operator's own server by HTTP who may publish and play: [auth.Hook].
package hook

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"liverelay/auth"
	"liverelay/measure"
)

// Limits of the conversation.
const (
	maxReply = 16 << 10 // bytes
	maxKept  = 5 * time.Minute
	maxQueue = 1024 // accesses that wait for a free slot
)

// Options say how to ask the operator's own server.
type Options struct {
	URL            string        // http or https
	Secret         string        // signs the requests; "": the app's first secret does
	Timeout        time.Duration // for the whole conversation, waiting for a slot included; 0: 2 s
	AllowOnFailure bool          // no answer permits (hook) or leaves it to the token (token+hook)
	Concurrency    int           // requests at a time; 0: 64
	CacheSize      int           // replies kept as long as they allow; 0: 10 000

	Took *measure.Histogram // counts how long questions take; nil: nobody wants to know
}

// Client asks the operator's own server whether to permit an access. It follows
// no redirect, reads a bounded reply and never waits longer than its timeout.
type Client struct {
	opts   Options // static
	client *http.Client
	slots  chan struct{}
	cache  *cache

	waiting                                           atomic.Int64
	asked, cached, allowed, denied, failed, malformed atomic.Uint64
}

// New makes a hook; errors name the key of config.yaml.
func New(o Options) (*Client, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.Fragment != "" {
		return nil, errors.New("hooks.authorize: want an http or https address") // it may hold a password: not quoted
	}
	if o.Timeout < 0 {
		return nil, errors.New("hooks.timeout: must not be negative")
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Second
	}
	if o.Concurrency <= 0 {
		o.Concurrency = 64
	}
	if o.Took == nil {
		o.Took = new(measure.Histogram)
	}
	if o.CacheSize <= 0 {
		o.CacheSize = 10_000
	}
	return &Client{
		opts:  o,
		slots: make(chan struct{}, o.Concurrency),
		cache: newCache(o.CacheSize),
		client: &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: &http.Transport{
				DialContext:            (&net.Dialer{Timeout: o.Timeout}).DialContext,
				TLSHandshakeTimeout:    o.Timeout,
				ResponseHeaderTimeout:  o.Timeout,
				MaxConnsPerHost:        o.Concurrency,
				MaxIdleConnsPerHost:    o.Concurrency,
				IdleConnTimeout:        30 * time.Second,
				MaxResponseHeaderBytes: 16 << 10,
				DisableCompression:     true, // no small reply that grows
			},
		},
	}, nil
}

// Close drops the idle connections. Running conversations end by their timeout.
func (c *Client) Close() { c.client.CloseIdleConnections() }

// Stats returns the counters.
func (c *Client) Stats() auth.HookStats {
	return auth.HookStats{
		Asked: c.asked.Load(), Cached: c.cached.Load(), Allowed: c.allowed.Load(), Denied: c.denied.Load(),
		Failed: c.failed.Load(), Malformed: c.malformed.Load(),
		Running: len(c.slots), Seconds: c.seconds(),
	}
}

// seconds are those that all questions took together.
func (c *Client) seconds() float64 {
	_, _, sum := c.opts.Took.Read()
	return sum
}

// Ask implements [auth.Hook]. Without an answer it permits what its options say.
func (c *Client) Ask(ctx context.Context, q auth.HookRequest, secret string) (auth.HookReply, error) {
	reply, err := c.ask(ctx, q, secret)
	switch {
	case errors.Is(err, auth.ErrNoAnswer):
		c.failed.Add(1)
		if c.opts.AllowOnFailure {
			allow := true
			return auth.HookReply{Allow: &allow}, nil
		}
	case err != nil:
		c.malformed.Add(1)
	case !*reply.Allow:
		c.denied.Add(1)
	default:
		c.allowed.Add(1)
	}
	return reply, err
}

// ask returns a valid reply, kept or new.
func (c *Client) ask(ctx context.Context, q auth.HookRequest, secret string) (auth.HookReply, error) {
	now := time.Unix(q.Time, 0)
	same := q // what the reply depends on
	same.Time = 0
	plain, err := json.Marshal(same)
	if err != nil {
		return auth.HookReply{}, err
	}
	key := sha256.Sum256(plain)
	if reply, ok := c.cache.get(key, now); ok && reply.Check(now) == nil {
		c.cached.Add(1)
		return reply, nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.opts.Timeout)
	defer cancel()
	if c.waiting.Add(1) > maxQueue {
		c.waiting.Add(-1)
		return auth.HookReply{}, fmt.Errorf("%w: too many accesses wait for the hook", auth.ErrNoAnswer)
	}
	select {
	case c.slots <- struct{}{}:
		c.waiting.Add(-1)
		defer func() { <-c.slots }()
	case <-ctx.Done():
		c.waiting.Add(-1)
		return auth.HookReply{}, fmt.Errorf("%w: all %d requests are busy", auth.ErrNoAnswer, cap(c.slots))
	}
	c.asked.Add(1)
	q.ID = auth.NewID()
	began := time.Now()
	reply, err := c.post(ctx, q, secret)
	c.opts.Took.Observe(time.Since(began))
	if err == nil {
		err = reply.Check(now)
	}
	if err == nil && reply.Cache > 0 {
		c.cache.put(key, reply, now.Add(min(time.Duration(min(reply.Cache, 3600))*time.Second, maxKept)), now)
	}
	return reply, err
}

func (c *Client) post(ctx context.Context, q auth.HookRequest, secret string) (auth.HookReply, error) {
	body, err := json.Marshal(q)
	if err != nil {
		return auth.HookReply{}, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.opts.URL, bytes.NewReader(body))
	if err != nil {
		return auth.HookReply{}, errors.New("cannot make the request")
	}
	if c.opts.Secret != "" {
		secret = c.opts.Secret
	}
	// Nothing from outside goes into a header: names are in the body, escaped.
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "liverelay")
	req.Header.Set(auth.HeaderTimestamp, strconv.FormatInt(q.Time, 10))
	req.Header.Set(auth.HeaderSignature, auth.SignBody(secret, q.Time, body))
	res, err := c.client.Do(req)
	if err != nil {
		return auth.HookReply{}, fmt.Errorf("%w: %s", auth.ErrNoAnswer, auth.WithoutURL(err))
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests:
		return auth.HookReply{}, fmt.Errorf("%w: status %d", auth.ErrNoAnswer, res.StatusCode)
	case res.StatusCode != http.StatusOK: // a redirect, too: it is not followed
		return auth.HookReply{}, fmt.Errorf("status %d, want 200", res.StatusCode)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, maxReply+1))
	if err != nil {
		return auth.HookReply{}, fmt.Errorf("%w: reading the reply: %s", auth.ErrNoAnswer, auth.WithoutURL(err))
	}
	if len(b) > maxReply {
		return auth.HookReply{}, fmt.Errorf("reply longer than %d bytes", maxReply)
	}
	return auth.ParseHookReply(b)
}

package room

import (
	"net/netip"
	"slices"
	"sync"
	"time"
)

// Rule is something an app's backend has forbidden, for a time.
type Rule struct {
	ID         string `json:"id"`
	Type       int    `json:"type"` // SetForbidUserRule's: 1 IP, 2 room, 3 user, 4 user in room; ruleStream
	IP         string `json:"ip,omitempty"`
	Room       string `json:"room,omitempty"`
	User       string `json:"user,omitempty"`
	Stream     string `json:"stream,omitempty"`
	Privileges []int  `json:"privileges,omitempty"` // 1 login, 2 publish
	Audio      bool   `json:"audio,omitempty"`      // SetForbidStreamRule: what is forbidden of it
	Video      bool   `json:"video,omitempty"`
	Sequence   int64  `json:"sequence,omitempty"`
	Until      int64  `json:"until"` // ms
}

const (
	privilegeLogin   = 1
	privilegePublish = 2

	ruleIP     = 1
	ruleRoom   = 2
	ruleUser   = 3
	ruleMember = 4
	ruleStream = 10 // no publishing and no playing of a stream

	rulesEvery = 2 * time.Second
)

// rules is this node's copy of what is forbidden. Changes of other nodes come
// within rulesEvery.
type rules struct {
	svc *Service

	mu     sync.Mutex
	byApp  map[string][]Rule
	loaded time.Time
}

func newRules(s *Service) *rules { return &rules{svc: s, byApp: map[string][]Rule{}} }

// of returns an app's rules. The first time the store is asked.
func (r *rules) of(app string) []Rule {
	r.mu.Lock()
	list, ok := r.byApp[app]
	r.mu.Unlock()
	if !ok {
		list = r.load(app)
	}
	return list
}

// known reports whether it can be said at all what is forbidden in an app.
func (r *rules) known(app string) bool {
	r.of(app)
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.byApp[app]
	return ok
}

func (r *rules) load(app string) []Rule {
	ctx, cancel := r.svc.storeTime()
	defer cancel()
	var list []Rule
	err := r.svc.guard(func() (err error) {
		list, err = r.svc.store.Rules(ctx, app)
		return err
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		return r.byApp[app] // what is known holds on
	}
	r.byApp[app] = list
	return list
}

// refresh reads the rules again now and then, and ends what has become forbidden.
func (r *rules) refresh(now time.Time) {
	r.mu.Lock()
	due := now.Sub(r.loaded) >= rulesEvery
	var apps []string
	if due {
		r.loaded = now
		for app := range r.byApp {
			apps = append(apps, app)
		}
	}
	r.mu.Unlock()
	for _, app := range apps {
		before := r.of(app)
		for _, rule := range r.load(app) {
			if rule.Type == ruleStream && !slices.ContainsFunc(before, func(o Rule) bool { return o.ID == rule.ID }) {
				r.svc.endForbidden(app, rule.Stream)
			}
		}
	}
}

// forbids reports whether a rule takes a privilege from a user.
func (r *rules) forbids(key Key, user string, ip netip.Addr, privilege int) bool {
	now := r.svc.now().UnixMilli()
	for _, rule := range r.of(key.App) {
		if rule.Until <= now || !slices.Contains(rule.Privileges, privilege) {
			continue
		}
		switch rule.Type {
		case ruleIP:
			if ip.IsValid() && rule.IP == ip.String() {
				return true
			}
		case ruleRoom:
			if rule.Room == key.Room {
				return true
			}
		case ruleUser:
			if rule.User == user {
				return true
			}
		case ruleMember:
			if rule.Room == key.Room && rule.User == user {
				return true
			}
		}
	}
	return false
}

func (r *rules) streamForbidden(app, stream string) bool {
	now := r.svc.now().UnixMilli()
	return slices.ContainsFunc(r.of(app), func(rule Rule) bool {
		return rule.Type == ruleStream && rule.Stream == stream && rule.Until > now
	})
}

// put adds a rule; del takes it away.
func (r *rules) put(app string, rule Rule) error {
	ctx, cancel := r.svc.storeTime()
	defer cancel()
	if err := r.svc.guard(func() error { return r.svc.store.PutRule(ctx, app, rule) }); err != nil {
		return err
	}
	r.load(app)
	if rule.Type == ruleStream {
		r.svc.endForbidden(app, rule.Stream)
	}
	return nil
}

func (r *rules) del(app, id string) error {
	ctx, cancel := r.svc.storeTime()
	defer cancel()
	if err := r.svc.guard(func() error { return r.svc.store.DeleteRule(ctx, app, id) }); err != nil {
		return err
	}
	r.load(app)
	return nil
}

// endForbidden ends a stream's media on this node.
func (s *Service) endForbidden(app, stream string) {
	s.mu.Lock()
	var rooms []*Room
	for key, r := range s.rooms {
		if key.App == app {
			rooms = append(rooms, r)
		}
	}
	s.mu.Unlock()
	for _, r := range rooms {
		r.do(command{apply: func(t *tx) error {
			if st := t.st.streams[stream]; st != nil && st.Live && (st.Node == s.node || st.Manual) {
				t.unstream(st, ReasonRemoved)
			}
			if m := r.media[stream]; m != nil {
				r.endMedia(m, ReasonRemoved)
			}
			return nil
		}})
	}
	if s.cfg.EndPlayers != nil {
		s.spawn(func() { s.cfg.EndPlayers(app, stream, "") })
	}
}

package room

import "time"

// maintain runs once per Tick: leases, overdue sessions, claims of streams, rooms to be read again.
func (s *Service) maintain() {
	tick := time.NewTicker(s.cfg.Tick)
	defer tick.Stop()
	renewEvery := s.cfg.LeaseTTL / 3
	renewed, counted := s.now(), s.now()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-tick.C:
		}
		now := s.now()
		s.mu.Lock()
		rooms := make([]*Room, 0, len(s.rooms))
		for _, r := range s.rooms {
			rooms = append(rooms, r)
		}
		var retry []*Room
		if now.UnixMilli() >= s.downUntil.Load() {
			for r := range s.retry {
				retry = append(retry, r)
			}
			clear(s.retry)
		}
		s.mu.Unlock()
		for _, r := range retry {
			r.refresh()
		}
		count := now.Sub(counted) >= s.cfg.CountEvery
		for _, r := range rooms {
			r.sweep(now, count)
		}
		if count {
			counted = now
		}
		if now.Sub(renewed) >= renewEvery {
			renewed = now
			s.renew(rooms)
			s.keepClaims()
		}
	}
}

// renew prolongs the leases, and finds rooms that have gone on without us.
func (s *Service) renew(rooms []*Room) {
	const page = 500
	for len(rooms) > 0 {
		n := min(page, len(rooms))
		var held []*Room
		var holdings []Holding
		for _, r := range rooms[:n] {
			r.mu.Lock()
			fence := r.known.held
			r.mu.Unlock()
			if fence != 0 {
				held = append(held, r)
				holdings = append(holdings, Holding{r.key, fence})
			}
		}
		rooms = rooms[n:]
		if len(held) == 0 {
			continue
		}
		ctx, cancel := s.storeTime()
		var standing []LeaseState
		err := s.guard(func() (err error) {
			standing, err = s.store.Renew(ctx, s.node, s.cfg.LeaseTTL, holdings)
			return err
		})
		cancel()
		if err != nil {
			return // the next round, or the rooms' own steps, will see
		}
		for i, st := range standing {
			held[i].compare(st)
		}
	}
}

// compare compares what Renew found with the room.
func (r *Room) compare(st LeaseState) {
	r.mu.Lock()
	behind := r.known.held != 0 && !r.inbox.running && (!st.Exists || !st.Held || st.Position != r.known.pos)
	r.mu.Unlock()
	dead := false
	for _, l := range st.Expired {
		dead = dead || time.Duration(st.Now-l.Expires)*time.Millisecond >= r.svc.cfg.MediaGrace
	}
	if behind || dead {
		r.refresh()
	}
}

// sweep looks after the room's sessions.
func (r *Room) sweep(now time.Time, count bool) {
	grace := r.svc.cfg.Grace
	var over []*Session
	r.mu.Lock()
	for _, s := range r.own.awaited {
		if s.overdue(now) {
			over = append(over, s)
		}
	}
	for _, s := range r.own.sessions {
		s.mu.Lock()
		if s.overdueLocked(now) {
			over = append(over, s)
		}
		left := s.token.Expires.Sub(now)
		warn := s.link != nil && !s.warned && !s.token.Expires.IsZero() && left <= 30*time.Second
		s.warned = s.warned || warn
		s.mu.Unlock()
		if warn {
			seconds := max(0, int(left.Seconds()))
			e := &event{Type: "tokenWillExpire", Room: r.key.Room, Seconds: &seconds}
			s.send(e.frame())
		}
	}
	r.trimLocked(now.Add(-grace - 30*time.Second).UnixMilli())
	orphans := r.known.haveOrphans && !r.inbox.running
	pending := r.known.pendingMedia
	r.mu.Unlock()
	for _, s := range over {
		r.do(r.leaving(s, ReasonHeartbeat, 0, "", nil))
	}
	if orphans {
		r.refresh()
	}
	if pending {
		r.do(command{must: true, apply: func(t *tx) error { r.expireMedia(t, now); return nil }})
	}
	if count {
		r.do(command{apply: func(*tx) error { r.tellCount(); return nil }})
	}
}

// tellCount tells the members how many users there are, when that has changed.
func (r *Room) tellCount() {
	if n := r.copy.st.users; n != r.told.count {
		r.told.count = n
		e := &event{Type: "userCount", Room: r.key.Room, Count: &n}
		r.all(e.frame(), nil)
	}
}

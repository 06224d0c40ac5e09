package room

import "time"

// keepHouse looks after rooms, sessions, connections and leases.
func (s *Service) keepHouse() {
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
		s.conns.Range(func(k, _ any) bool { k.(*Conn).check(now); return true })
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
			fence := r.held
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
		var standing []Standing
		err := s.guard(func() (err error) {
			standing, err = s.store.Renew(ctx, s.node, s.cfg.LeaseTTL, holdings)
			return err
		})
		cancel()
		if err != nil {
			return // the next round, or the rooms' own steps, will see
		}
		for i, st := range standing {
			held[i].stand(st)
		}
	}
}

// stand compares what Renew found with the room.
func (r *Room) stand(st Standing) {
	r.mu.Lock()
	behind := r.held != 0 && !r.running && (!st.Exists || !st.Held || st.Position != r.pos)
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
	for _, s := range r.sessions {
		s.mu.Lock()
		if s.overdueLocked(now) {
			over = append(over, s)
		}
		left := s.token.Expires.Sub(now)
		warn := s.conn != nil && !s.warned && !s.token.Expires.IsZero() && left <= 30*time.Second
		s.warned = s.warned || warn
		s.mu.Unlock()
		if warn {
			seconds := max(0, int(left.Seconds()))
			e := &event{Type: "tokenWillExpire", Room: r.key.Room, Seconds: &seconds}
			s.send(e.frame())
		}
	}
	r.trimLocked(now.Add(-grace - 30*time.Second).UnixMilli())
	orphans := r.haveOrphans && !r.running
	pending := r.pendingMedia
	r.mu.Unlock()
	for _, s := range over {
		r.do(r.leaving(s, ReasonHeartbeat, 0, "", nil))
	}
	if orphans {
		r.refresh()
	}
	if pending {
		r.do(command{must: true, apply: func(*tx) error { r.expireMedia(now); return nil }})
	}
	if count {
		r.do(command{apply: func(*tx) error { r.tellCount(); return nil }})
	}
}

// tellCount tells the members how many users there are, when that has changed.
func (r *Room) tellCount() {
	if n := r.st.users; n != r.countTold {
		r.countTold = n
		e := &event{Type: "userCount", Room: r.key.Room, Count: &n}
		r.all(e.frame(), nil)
	}
}

// leaving is the command that ends a session's membership.
func (r *Room) leaving(s *Session, why Reason, code Code, text string, done func(error)) command {
	back := func() bool { return why == ReasonHeartbeat && !s.overdue(r.svc.now()) }
	return command{
		must: true,
		apply: func(t *tx) error {
			if back() {
				return nil
			}
			m := t.st.members[s.user.ID]
			if m != nil && m.Session == s.id && (m.Node == r.svc.node || why != ReasonHeartbeat) {
				t.leave(m, why, code, text)
			} else if r.sessions[s.user.ID] == s {
				r.drop(s)
				s.end(nil)
			}
			return nil
		},
		done: func(err error) {
			if err != nil && r.sessions[s.user.ID] == s && !back() {
				// The store will be told when it is back; the session ends now.
				r.gone[s.user.ID] = leaving{s.id, why}
				r.drop(s)
				s.end(nil)
			}
			if done != nil {
				done(nil)
			}
		},
	}
}

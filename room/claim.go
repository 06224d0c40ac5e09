package room

// Claim is one stream of an app that a room has. While it is live, its id is no other room's.
type Claim struct{ App, Stream, Room string }

// claim has this node answer for the id of a stream while it is live here.
func (r *Room) claim(s *Stream) {
	_, had := r.own.claims[s.ID]
	here := s.Live && !s.Manual && s.Node == r.svc.node
	switch {
	case here && !had:
		r.own.claims[s.ID] = struct{}{}
		r.svc.claimed(Claim{r.key.App, s.ID, r.key.Room}, true, true)
	case had && !here:
		delete(r.own.claims, s.ID)
		// Unless it is live at another node of the room, which claims it.
		r.svc.claimed(Claim{r.key.App, s.ID, r.key.Room}, false, !s.Live)
	}
}

// assertClaims gives up what is not live here any more, after the copy was replaced.
func (r *Room) assertClaims(st *state) {
	for id := range r.own.claims {
		if s := st.streams[id]; s != nil {
			r.claim(s)
		} else {
			r.claim(&Stream{ID: id})
		}
	}
}

// claimed notes whether a stream of a room is live on this node, and, if so wanted, has the store
// know.
func (s *Service) claimed(c Claim, live, tell bool) {
	s.mu.Lock()
	if live {
		s.claims[c] = struct{}{}
	} else {
		delete(s.claims, c)
	}
	s.mu.Unlock()
	if tell {
		s.running.Go(func() { s.settle(c) })
	}
}

// settle makes the store say of a claim what is so now, in whatever order it is called.
func (s *Service) settle(c Claim) {
	s.claiming.Lock()
	defer s.claiming.Unlock()
	s.mu.Lock()
	_, live := s.claims[c]
	s.mu.Unlock()
	if live {
		s.renewClaims([]Claim{c})
		return
	}
	ctx, cancel := s.storeTime()
	defer cancel()
	_ = s.guard(func() error { return s.store.Unclaim(ctx, c) }) // it runs out
}

// keepClaims prolongs what this node has claimed.
func (s *Service) keepClaims() {
	s.claiming.Lock()
	defer s.claiming.Unlock()
	s.mu.Lock()
	claims := make([]Claim, 0, len(s.claims))
	for c := range s.claims {
		claims = append(claims, c)
	}
	s.mu.Unlock()
	const page = 500
	for len(claims) > 0 {
		n := min(page, len(claims))
		s.renewClaims(claims[:n])
		claims = claims[n:]
	}
}

// renewClaims claims streams for their rooms. One that another room has by now, for both were quick
// or the store had lost it, ends here.
func (s *Service) renewClaims(claims []Claim) {
	ctx, cancel := s.storeTime()
	defer cancel()
	var rooms []string
	err := s.guard(func() (err error) {
		rooms, err = s.store.Claim(ctx, claims, s.cfg.LeaseTTL)
		return err
	})
	if err != nil {
		return // the next round
	}
	for i, c := range claims {
		if rooms[i] == c.Room {
			continue
		}
		s.log.Warn("stream ended: another room has its id", "app", c.App, "stream", c.Stream, "room", c.Room)
		s.do(Key{c.App, c.Room}, command{must: true, apply: func(t *tx) error {
			if st := t.st.streams[c.Stream]; st != nil && st.Live && st.Node == s.node {
				t.unstream(st, ReasonRemoved)
			}
			return nil
		}})
	}
}

// taken reports whether a stream is live in another room. While the store cannot say, it is not.
func (s *Service) taken(c Claim) bool {
	ctx, cancel := s.storeTime()
	defer cancel()
	var rooms []string
	err := s.guard(func() (err error) {
		rooms, err = s.store.Claim(ctx, []Claim{c}, 0)
		return err
	})
	return err == nil && rooms[0] != "" && rooms[0] != c.Room
}

package relay

import "time"

// Lose ends the publishers of a stream here, for themselves with err, for everybody else as if
// their connections were lost: its subscribers stay, for the resume window. False: there is none
// but, perhaps, a copy.
func (r *Relay) Lose(n Name, err error) bool {
	r.mu.Lock()
	st := r.streams[n]
	r.mu.Unlock()
	if st == nil {
		return false
	}
	st.mu.Lock()
	all := st.standbys[:len(st.standbys):len(st.standbys)]
	if p := st.publisher; p != nil && p.options.Copy == nil {
		all = append(all, p)
	}
	st.mu.Unlock()
	for _, p := range all {
		p.stop(err)
		p.close(nil)
	}
	return len(all) > 0
}

// Supersede ends the publisher of a stream here, with [ErrReplaced], because the stream has another
// origin now; where that has another rank, it stands by instead. Its subscribers stay, as with a
// lost publisher, for the [Copy] that comes in its place. False: none publishes it here but,
// perhaps, a copy.
func (r *Relay) Supersede(n Name, rank int) bool {
	r.mu.Lock()
	st := r.streams[n]
	r.mu.Unlock()
	if st == nil {
		return false
	}
	now := time.Now()
	st.mu.Lock()
	p := st.publisher
	if p == nil && st.resume != nil && st.last.lane == nil {
		p = st.last
	}
	if p == nil || p.options.Copy != nil {
		st.mu.Unlock()
		return false
	}
	st.absent = now.Add(absentFirst)
	if p == st.publisher && p.options.Grant.Rank != rank {
		st.yieldLocked(p, now)
		st.loseLocked(now)
		st.mu.Unlock()
		return true
	}
	st.mu.Unlock()
	p.stop(ErrReplaced)
	p.close(nil)
	return true
}

package relay

// Supersede ends the publisher of a stream here, with [ErrReplaced], because the stream has another
// origin now. Its subscribers stay, as with a lost publisher, for the [Copy] that comes in its
// place. False: none publishes it here but, perhaps, a copy.
func (r *Relay) Supersede(n Name) bool {
	r.mu.Lock()
	st := r.streams[n]
	r.mu.Unlock()
	if st == nil {
		return false
	}
	p, _ := st.sessions(func(s Session) bool { return s.Action == ActionPublish })
	if p == nil || p.options.Copy != nil {
		return false
	}
	p.stop(ErrReplaced)
	p.close(nil)
	return true
}

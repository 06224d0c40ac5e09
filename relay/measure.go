package relay

import "slices"

// Expect has metrics tell of the players of these protocols from the start, when there are none
// yet: what a door calls them in [SubscribeOptions].
func (r *Relay) Expect(protocols ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.expected = append(r.expected, protocols...)
}

// Measure reports what an operator's metrics say of the relay: a name, what it means, a value,
// and labels with their values in turn. A name that ends in _total only grows.
func (r *Relay) Measure(add func(name, help string, value float64, labels ...string)) {
	states, players := map[string]int{"live": 0, "idle": 0, "waiting": 0}, map[string]int{}
	r.mu.Lock()
	for _, protocol := range r.expected {
		players[protocol] = 0
	}
	r.mu.Unlock()
	alerted := map[Alert]int{}
	kbps, behind, most := 0, 0, int64(0)
	for _, s := range r.Streams() {
		states[s.State]++
		kbps += s.Kbps
		for _, a := range s.Alerts {
			alerted[a.Kind]++
		}
	}
	for _, st := range r.all() {
		_, subscribers := st.endpoints(func(e Endpoint) bool { return e.Action == ActionPlay })
		for _, s := range subscribers {
			players[s.options.Protocol]++
			if s.at.Load() != 0 {
				behind++
				most = max(most, s.backlog())
			}
		}
	}
	each(states, func(state string, n int) {
		add("streams", "Streams by state: live, idle or waiting for their publisher.", float64(n), "state", state)
	})
	each(players, func(protocol string, n int) {
		add("players", "Players now, by protocol.", float64(n), "protocol", protocol)
	})
	for i, a := range Alerts {
		add("stream_alerts", "Streams that have a fault now, by alert.", float64(alerted[a]), "alert", string(a))
		add("stream_alerts_total", "Faults of streams that began, by alert.", float64(r.alerts[i].Load()), "alert", string(a))
	}
	add("ingest_bytes_per_second", "What all publishers send now.", float64(kbps)*125)
	add("players_behind", "Players that are not up to date now.", float64(behind))
	add("backlog_max_seconds", "Media that the slowest player has not taken yet.", float64(most)/1000)
	for reason, n := range r.Drops() {
		add("dropped_messages_total", "Messages not delivered to a player, by reason.", float64(n), "reason", reason)
	}
	kept, cuts := r.Kept()
	add("ring_bytes", "Memory in which streams keep their last keyframe and all since.", float64(kept))
	add("ring_cuts_total", "Streams cut to their newest second, to fit relay.ring_memory.", float64(cuts))
	add("derived_streams", "Streams whose audio is turned into another codec now.", float64(r.derived.Load()))
	add("transcoded_messages_total", "Messages of audio made for derived streams.", float64(r.transcoded.Load()))
	add("transcode_failures_total", "Derived streams that ended because their audio could not be read.", float64(r.underivable.Load()))
	add("takeovers_total", "Publishers that took the place of a running one.", float64(r.takeovers.Load()))
	add("standby_takeovers_total", "Publishers that stood by and took the stream.", float64(r.handovers.Load()))
	add("hooks_dropped_total", "Events that were not told of, because who hears them was too slow.", float64(r.hooks.missed()))
}

// MeasureStreams is Measure for each stream by its name: as many time series as there are streams.
func (r *Relay) MeasureStreams(add func(name, help string, value float64, labels ...string)) {
	for _, s := range r.Streams() {
		add("stream_viewers", "Viewers of a stream.", float64(s.Viewers), "app", s.App, "stream", s.Stream)
		add("stream_ingest_bytes_per_second", "What a stream's publisher sends now.", float64(s.Kbps)*125, "app", s.App, "stream", s.Stream)
		add("stream_received_bytes_total", "Media from a stream's publishers.", float64(s.BytesIn), "app", s.App, "stream", s.Stream)
		add("stream_sent_bytes_total", "Media to a stream's players.", float64(s.BytesOut), "app", s.App, "stream", s.Stream)
	}
}

// MeasureDurations reports histograms: upper bounds in seconds, counts of each bucket and of what
// lies above the last, and the sum.
func (r *Relay) MeasureDurations(add func(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string)) {
	bounds, counts, sum := r.firstKeyframe.Read()
	add("first_keyframe_seconds", "From a player's start to the first picture that it was sent.", bounds, counts, sum)
	bounds, counts, sum = r.fanOut.Read()
	add("fan_out_seconds", "From a message's arrival until all players of its shard that are up to date were sent it; of one message in 16.", bounds, counts, sum)
}

// each calls f for the entries of m in the order of their keys.
func each(m map[string]int, f func(string, int)) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		f(k, m[k])
	}
}

package server

// measure reports what the doors, the gate in front of them and the refusals counted, for metrics.
func (s *Server) measure(add func(name, help string, value float64, labels ...string)) {
	gate := s.gate.Stats()
	add("connections_open", "Connections now, of all doors.", float64(gate.Open))
	results := func(door string, byResult map[string]uint64) {
		for result, n := range byResult {
			add("connections_total", "Connections and requests by how they went.", float64(n), "door", door, "result", result)
		}
	}
	results("gate", map[string]uint64{
		"accepted":        gate.Accepted,
		"too_many":        gate.RefusedTotal,
		"too_many_per_ip": gate.RefusedPerIP,
		"rate_per_ip":     gate.RefusedRate,
		"proxy_header":    gate.RefusedHeader,
		"probe":           gate.Probes,
		"accept_error":    gate.AcceptErrors,
	})
	if s.cert != nil {
		add("tls_certificate_expires_timestamp_seconds", "When the certificate in use ends, in Unix time.", float64(s.cert.NotAfter().Unix()))
		good, bad := s.cert.Reloads()
		add("tls_certificate_reloads_total", "New certificate files, by whether they were taken.", float64(good), "result", "taken")
		add("tls_certificate_reloads_total", "New certificate files, by whether they were taken.", float64(bad), "result", "refused")
	}
	for _, p := range s.parts {
		if p.stats == nil {
			continue
		}
		d := p.stats()
		results(p.name, d.Results)
		add("received_bytes_total", "Bytes from clients, by door.", float64(d.BytesIn), "door", p.name)
		add("sent_bytes_total", "Bytes to clients, by door.", float64(d.BytesOut), "door", p.name)
	}
	stats := s.auth.Stats()
	add("grants_total", "Publishing and playing permitted.", float64(stats.Granted))
	for reason, n := range stats.Refused {
		add("refusals_total", "Publishing and playing refused, by reason.", float64(n), "reason", string(reason))
	}
	hook := stats.Hook
	for result, n := range map[string]uint64{
		"asked": hook.Asked, "cached": hook.Cached, "allowed": hook.Allowed, "denied": hook.Denied, "failed": hook.Failed, "malformed": hook.Malformed,
	} {
		add("hook_requests_total", "Questions to hooks.authorize, by what became of them.", float64(n), "result", result)
	}
	add("hook_seconds_total", "Time that all questions to hooks.authorize took together.", hook.Seconds)
	add("hook_requests_running", "Questions to hooks.authorize that wait for their answer.", float64(hook.Running))
}

// measureDurations reports how long the hook took, for metrics.
func (s *Server) measureDurations(add func(name, help string, bounds []float64, counts []uint64, sum float64, labels ...string)) {
	bounds, counts, sum := s.reloader.hookTook.Read()
	add("hook_seconds", "How long questions to hooks.authorize took.", bounds, counts, sum)
}

package door

import (
	"encoding/json"

	"liverelay/relay"
)

// maxDelay is the most that a player is believed, ms: an hour.
const maxDelay = 3_600_000

// ParseDelay reads a web player's word of how old the picture is that it shows:
//
//	{"type":"delay","ms":143,"since":"publisher"}
//
// false: it is no such word.
func ParseDelay(text []byte) (relay.ToldDelay, bool) {
	var w struct {
		Type  string   `json:"type"`
		Ms    *float64 `json:"ms"`
		Since string   `json:"since"`
	}
	if json.Unmarshal(text, &w) != nil || w.Type != "delay" || w.Ms == nil || *w.Ms < 0 || *w.Ms > maxDelay {
		return relay.ToldDelay{}, false
	}
	return relay.ToldDelay{Ms: *w.Ms, Since: w.Since}, w.Since == "publisher" || w.Since == "ingest"
}

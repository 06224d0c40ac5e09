package door

import (
	"testing"

	"liverelay/relay"
)

func TestPlayersWordOfItsDelay(t *testing.T) {
	for text, want := range map[string]relay.ToldDelay{
		`{"type":"delay","ms":143.5,"since":"publisher"}`: {Ms: 143.5, Since: "publisher"},
		`{"type":"delay","ms":0,"since":"ingest"}`:        {Since: "ingest"},
		`{"type":"delay","since":"ingest"}`:               {},
		`{"type":"delay","ms":-1,"since":"ingest"}`:       {},
		`{"type":"delay","ms":1e9,"since":"ingest"}`:      {},
		`{"type":"delay","ms":1,"since":"moon"}`:          {},
		`{"type":"arrived","ms":1,"since":"ingest"}`:      {},
		`{"type":"delay","ms":"1","since":"ingest"}`:      {},
		`heartbeat`: {},
		``:          {},
	} {
		got, ok := ParseDelay([]byte(text))
		if ok != (want.Since != "") || ok && got != want {
			t.Errorf("%q: %+v, %v", text, got, ok)
		}
	}
}

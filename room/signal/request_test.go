package signal

import (
	"encoding/json"
	"strings"
	"testing"

	"liverelay/room"
)

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{"id":1,"type":"login","appID":1,"room":"r","user":"u","userName":"U","token":"t","config":{"userUpdate":true,"maxMemberCount":2},"resume":{"session":"s","seq":4}}`,
		`{"id":2,"type":"publish","room":"r","stream":"s","extraInfo":"x","source":"BGP","params":"a=b"}`,
		`{"id":3,"type":"custom","message":"m","to":["a","b"]}`,
		`{"type":"quality","stream":"s","role":"play","video":{"videoFPS":15},"audio":{},"net":{"netSpeed":"9"}}`,
		`{"id":9007199254740993,"type":"ping"}`, `{"id":1.5,"type":"ping"}`, `{"id":"1"}`, `{"room":{}}`, `null`, `[]`, `""`, ``, ` {`,
		`{"id":1,"type":"x","id":-2}`, `{"id":-2,"room":{}}`, "{\"type\":\"\x00\"}", strings.Repeat(`{"a":`, 2000),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		req, err := parseRequest(data)
		if req == nil {
			t.Fatal("no request")
		}
		if req.ID < 0 || req.ID >= 1<<53 {
			t.Errorf("id %d", req.ID)
		}
		if err != nil {
			if err.Code != room.CodeMalformed && err.Code != room.CodeParam {
				t.Errorf("code %d", err.Code)
			}
			return
		}
		if req.Type == "" || !json.Valid(data) {
			t.Errorf("%q was taken", data)
		}
		if room.CheckStream(req.Stream) == nil && (len(req.Stream) > 256 || strings.ContainsAny(req.Stream, "/?&% ")) {
			t.Errorf("stream %q was taken", req.Stream)
		}
		if room.CheckRoom(req.User) == nil && strings.ContainsAny(req.User, "\x00\n") {
			t.Errorf("room %q was taken", req.User)
		}
		_ = checkQuality(req.Video)
	})
}

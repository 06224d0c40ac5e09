package signal

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"liverelay/room"
)

// request is every request in one, so that a frame is parsed once: hence its many fields.
// PROTOCOL.md §2 is the meaning of every one.
type request struct {
	ID   int64  `json:"id"`
	Type string `json:"type"`

	Room     *string      `json:"room"`
	AppID    uint32       `json:"appID"`
	App      string       `json:"app"`
	User     string       `json:"user"`
	UserName string       `json:"userName"`
	Token    string       `json:"token"`
	Config   loginConfig  `json:"config"`
	Resume   *room.Resume `json:"resume"`

	Stream    string  `json:"stream"`
	ExtraInfo *string `json:"extraInfo"`
	Source    string  `json:"source"`
	Params    string  `json:"params"`

	Message string   `json:"message"`
	To      []string `json:"to"`
	Key     string   `json:"key"`
	Value   string   `json:"value"`

	State string          `json:"state"`
	Code  int             `json:"code"`
	Role  string          `json:"role"`
	Video json.RawMessage `json:"video"`
	Audio json.RawMessage `json:"audio"`
	Net   json.RawMessage `json:"net"`
	Delay *float64        `json:"delay"`
	Since string          `json:"delaySince"`

	Level string   `json:"level"`
	Lines []string `json:"lines"`

	came time.Time
}

type loginConfig struct {
	UserUpdate     bool `json:"userUpdate"`
	MaxMemberCount int  `json:"maxMemberCount"`
}

// parseRequest reads one frame. On an error the request still has its id, where
// there was one, for the reply.
func parseRequest(data []byte) (*request, *room.Error) {
	req := &request{}
	err := json.Unmarshal(data, req)
	if err == nil && strings.TrimLeft(string(data[:min(len(data), 16)]), " \t\r\n") != "" && !isObject(data) {
		return req, room.Refuse(room.CodeMalformed, "not a JSON object")
	}
	var wrong *json.UnmarshalTypeError
	switch {
	case err == nil:
	case errors.As(err, &wrong) && wrong.Field != "":
		var only struct {
			ID json.RawMessage `json:"id"`
		}
		if json.Unmarshal(data, &only) == nil {
			_ = json.Unmarshal(only.ID, &req.ID)
		}
		if !validID(req.ID) {
			req.ID = 0
		}
		return req, room.Refuse(room.CodeParam, "%.64s: wrong type", wrong.Field)
	default:
		return req, room.Refuse(room.CodeMalformed, "not a JSON object")
	}
	switch {
	case !validID(req.ID):
		req.ID = 0
		return req, room.Refuse(room.CodeParam, "id: out of range")
	case req.Type == "":
		return req, room.Refuse(room.CodeParam, "type: missing")
	}
	return req, nil
}

// validID tells whether every client can say id exactly: JavaScript has integers up to 2^53-1.
func validID(id int64) bool { return 0 <= id && id <= 1<<53-1 }

func isObject(data []byte) bool {
	for _, b := range data {
		switch b {
		case ' ', '\t', '\r', '\n':
		default:
			return b == '{'
		}
	}
	return false
}

// maxDelay is the most that a client is believed, ms: an hour.
const maxDelay = 3_600_000

// checkDelay takes a measured delay, or none.
func checkDelay(ms *float64, since string) *room.Error {
	if ms == nil || *ms >= 0 && *ms <= maxDelay && (since == "publisher" || since == "ingest") {
		return nil
	}
	return room.Refuse(room.CodeParam, "delay: 0 to %d ms, delaySince: publisher or ingest", maxDelay)
}

// checkQuality takes objects of at most 16 plain members; clients send numbers,
// some as strings.
func checkQuality(raw json.RawMessage) *room.Error {
	if len(raw) == 0 {
		return nil
	}
	var members map[string]any
	if len(raw) > 1024 || json.Unmarshal(raw, &members) != nil || len(members) > 16 {
		return room.Refuse(room.CodeParam, "quality: objects of at most 16 numbers")
	}
	for _, v := range members {
		switch v.(type) {
		case float64, string, nil:
		default:
			return room.Refuse(room.CodeParam, "quality: objects of at most 16 numbers")
		}
	}
	return nil
}

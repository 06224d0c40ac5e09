package room

import (
	"encoding/json"
	"errors"
	"strings"
	"unicode"
)

// request is every request in one. PROTOCOL.md §2 is the meaning of every field.
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
	Resume   *resumeLogin `json:"resume"`

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

	Level string   `json:"level"`
	Lines []string `json:"lines"`
}

type loginConfig struct {
	UserUpdate     bool `json:"userUpdate"`
	MaxMemberCount int  `json:"maxMemberCount"`
}

type resumeLogin struct {
	Session string `json:"session"`
	Seq     int64  `json:"seq"`
	Only    bool   `json:"only"` // no fresh login when there is nothing to resume
}

// parseRequest reads one frame. On an error the request still has its id, where
// there was one, for the reply.
func parseRequest(data []byte) (*request, *Error) {
	req := &request{}
	err := json.Unmarshal(data, req)
	if err == nil && strings.TrimLeft(string(data[:min(len(data), 16)]), " \t\r\n") != "" && !isObject(data) {
		return req, refuse(CodeMalformed, "not a JSON object")
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
		return req, refuse(CodeParam, "%.64s: wrong type", wrong.Field)
	default:
		return req, refuse(CodeMalformed, "not a JSON object")
	}
	switch {
	case !validID(req.ID):
		req.ID = 0
		return req, refuse(CodeParam, "id: out of range")
	case req.Type == "":
		return req, refuse(CodeParam, "type: missing")
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

// idRule is how long an id may be, and what its faults are called.
type idRule struct {
	max                  int
	empty, illegal, long Code
	name                 string
}

var (
	roomRule   = idRule{128, CodeRoomEmpty, CodeRoomIllegal, CodeRoomLong, "room"}
	userRule   = idRule{64, CodeUserEmpty, CodeUserIllegal, CodeUserLong, "user"}
	nameRule   = idRule{256, CodeUserNameIllegal, CodeUserNameIllegal, CodeUserNameLong, "userName"}
	streamRule = idRule{256, CodeStreamEmpty, CodeStreamIllegal, CodeStreamLong, "stream"}
)

func (r idRule) check(s string) *Error {
	switch {
	case s == "":
		return refuse(r.empty, "%s: empty", r.name)
	case len(s) > r.max:
		return refuse(r.long, "%s: more than %d bytes", r.name, r.max)
	case strings.ContainsFunc(s, unicode.IsControl), strings.ContainsRune(s, unicode.ReplacementChar):
		return refuse(r.illegal, "%s: control or broken characters", r.name)
	}
	return nil
}

// checkStream also holds the id to the alphabet of media names.
func checkStream(id string) *Error {
	if err := streamRule.check(id); err != nil {
		return err
	}
	if id == "." || id == ".." || !streamAlphabet(id) {
		return refuse(CodeStreamIllegal, "stream: only letters, digits, '-', '_' and '.'")
	}
	return nil
}

func streamAlphabet(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_', c == '.':
		default:
			return false
		}
	}
	return true
}

func checkMessage(s string) *Error {
	switch {
	case s == "":
		return refuse(CodeMessageEmpty, "message: empty")
	case len(s) > 1024:
		return refuse(CodeMessageLong, "message: more than 1024 bytes")
	}
	return nil
}

// report is what a client said of one of its components.
type report struct {
	Time    int64           `json:"time"`
	State   string          `json:"state,omitempty"`
	Code    int             `json:"code,omitempty"`
	Message string          `json:"message,omitempty"`
	Video   json.RawMessage `json:"video,omitempty"`
	Audio   json.RawMessage `json:"audio,omitempty"`
	Net     json.RawMessage `json:"net,omitempty"`
}

// checkQuality takes objects of at most 16 plain members; clients send numbers,
// some as strings.
func checkQuality(raw json.RawMessage) *Error {
	if len(raw) == 0 {
		return nil
	}
	var members map[string]any
	if len(raw) > 1024 || json.Unmarshal(raw, &members) != nil || len(members) > 16 {
		return refuse(CodeParam, "quality: objects of at most 16 numbers")
	}
	for _, v := range members {
		switch v.(type) {
		case float64, string, nil:
		default:
			return refuse(CodeParam, "quality: objects of at most 16 numbers")
		}
	}
	return nil
}

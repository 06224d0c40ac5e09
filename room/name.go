package room

import (
	"strings"
	"unicode"
)

const (
	maxExtra  = 128 // bytes of a stream's extra info, or of a value of the room's
	maxReason = 256 // bytes of what a user is told who is thrown out
)

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
		return Refuse(r.empty, "%s: empty", r.name)
	case len(s) > r.max:
		return Refuse(r.long, "%s: more than %d bytes", r.name, r.max)
	case strings.ContainsFunc(s, unicode.IsControl), strings.ContainsRune(s, unicode.ReplacementChar):
		return Refuse(r.illegal, "%s: control or broken characters", r.name)
	}
	return nil
}

// CheckRoom says what is wrong with a room's id.
func CheckRoom(id string) *Error { return roomRule.check(id) }

// CheckUser says what is wrong with a user's id.
func CheckUser(id string) *Error { return userRule.check(id) }

// CheckName says what is wrong with a user's name.
func CheckName(name string) *Error { return nameRule.check(name) }

// CheckStream says what is wrong with a stream's id: it also keeps to the alphabet of media names.
func CheckStream(id string) *Error {
	if err := streamRule.check(id); err != nil {
		return err
	}
	if id == "." || id == ".." || !streamAlphabet(id) {
		return Refuse(CodeStreamIllegal, "stream: only letters, digits, '-', '_' and '.'")
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

// CheckMessage says what is wrong with the text of a message.
func CheckMessage(s string) *Error {
	switch {
	case s == "":
		return Refuse(CodeMessageEmpty, "message: empty")
	case len(s) > 1024:
		return Refuse(CodeMessageLong, "message: more than 1024 bytes")
	}
	return nil
}

func checkExtra(field, s string) *Error {
	if len(s) > maxExtra {
		return Refuse(CodeExtraLong, "%s: more than %d bytes", field, maxExtra)
	}
	return nil
}

// CheckReason says what is wrong with what a user is told who is thrown out.
func CheckReason(text string) *Error {
	if len(text) > maxReason {
		return Refuse(CodeParam, "reason: more than %d bytes", maxReason)
	}
	return nil
}

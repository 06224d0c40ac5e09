package room

import (
	"fmt"
	"time"

	"liverelay/auth"
)

// Token04 is a Config.Verify for login tokens of the apps that find knows by name.
func Token04(find func(app string) (auth.App, bool)) func(App, string, string, string, time.Time) (Token, error) {
	return func(app App, token, user, room string, now time.Time) (Token, error) {
		a, ok := find(app.Name)
		if !ok {
			return Token{}, refuse(CodeApp, "unknown app")
		}
		t, err := auth.VerifyToken04(token, a, auth.Want{User: user, Room: room}, now)
		switch {
		case err == nil:
			return permits(t.Privileges, t.Streams, t.Expires), nil
		case auth.ReasonOf(err) == auth.ReasonPrivilege:
			return Token{}, refuse(CodeLoginDenied, "the token does not permit this login")
		case auth.ReasonOf(err) != auth.ReasonExpired:
			return Token{}, fmt.Errorf("verify token: %s", auth.Explain(err))
		}
		// It was good once: that is enough to resume, if all else is right.
		in := auth.Inspect(token, a, now)
		if in.Kind != "token04" || in.UserID != user || in.Room != "" && in.Room != room {
			return Token{}, fmt.Errorf("verify token: %s", auth.Explain(err))
		}
		return permits(in.Privileges, in.Streams, time.Unix(in.Expire, 0)), ErrTokenExpired
	}
}

// permits: without privileges a token permits all; a privilege that is not
// mentioned is not checked.
func permits(privileges map[string]int, streams []string, expires time.Time) Token {
	may := func(privilege string) bool {
		v, mentioned := privileges[privilege]
		return !mentioned || v == 1
	}
	return Token{
		Login: may(auth.PrivilegeLogin), Publish: may(auth.PrivilegePublish), Streams: streams, Expires: expires,
	}
}

package auth

import "errors"

// ErrRefused is what every refusal is, and all that its text says.
var ErrRefused = errors.New("access refused")

// Reason is why something was refused: a label for the log and for counters, not for the peer.
type Reason string

// The reasons. Their number is fixed, so they may label a metric.
const (
	ReasonMissing     Reason = "missing"       // no credential
	ReasonDouble      Reason = "double"        // more than one credential in the query
	ReasonMalformed   Reason = "malformed"     // not the shape of a credential
	ReasonOversized   Reason = "oversized"     // longer than any credential
	ReasonAlgorithm   Reason = "algorithm"     // a JWT that is not plain HS256, or a cipher the app refuses
	ReasonSignature   Reason = "signature"     // signed with another key, or changed
	ReasonDecrypt     Reason = "decrypt"       // Token04 that no secret of the app opens; says no more on purpose
	ReasonClaims      Reason = "claims"        // authentic, but its content makes no sense
	ReasonExpired     Reason = "expired"       // was good
	ReasonNotYetValid Reason = "not_yet_valid" // will be good
	ReasonApp         Reason = "app"           // for another app
	ReasonUnknownApp  Reason = "unknown_app"   // there is no such app
	ReasonUser        Reason = "user"          // for another user
	ReasonRoom        Reason = "room"          // for another room
	ReasonStream      Reason = "stream"        // for another stream
	ReasonAction      Reason = "action"        // a play grant to publish with, or the reverse
	ReasonPrivilege   Reason = "privilege"     // Token04 without the privilege
	ReasonName        Reason = "name"          // no valid stream, user or room name
	ReasonRevoked     Reason = "revoked"       // this grant was revoked
	ReasonBanned      Reason = "banned"        // this user, stream or address is banned
	ReasonStore       Reason = "store"         // the store of bans gave no answer
	ReasonHookDenied  Reason = "hook_denied"   // the hook said no
	ReasonHookReply   Reason = "hook_reply"    // the hook's reply is none
	ReasonHookFailed  Reason = "hook_failed"   // the hook did not answer, and on_failure is deny
	ReasonInternal    Reason = "internal"      // a decision without a rule: refused
)

// reasons lists them all, for counters.
var reasons = [...]Reason{
	ReasonMissing, ReasonDouble, ReasonMalformed, ReasonOversized, ReasonAlgorithm, ReasonSignature,
	ReasonDecrypt, ReasonClaims, ReasonExpired, ReasonNotYetValid, ReasonApp, ReasonUnknownApp, ReasonUser,
	ReasonRoom, ReasonStream, ReasonAction, ReasonPrivilege, ReasonName, ReasonRevoked, ReasonBanned,
	ReasonStore, ReasonHookDenied, ReasonHookReply, ReasonHookFailed, ReasonInternal,
}

// Refusal is the one error type of a decision. Its text is the same for every reason.
type Refusal struct {
	Reason Reason
	Detail string // for the log: what was expected or who banned; never a token or secret
}

// Error returns the generic text, so that a refusal that slips out tells nothing.
func (*Refusal) Error() string { return ErrRefused.Error() }

// Is makes every refusal an ErrRefused.
func (*Refusal) Is(target error) bool { return target == ErrRefused }

// ReasonOf returns why err was refused; "" when err is no refusal.
func ReasonOf(err error) Reason {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.Reason
	}
	return ""
}

// Explain returns the reason, with its detail if there is one: for the log.
// For an error that is no refusal it returns the error's text.
func Explain(err error) string {
	r, ok := errors.AsType[*Refusal](err)
	switch {
	case err == nil:
		return ""
	case !ok:
		return err.Error()
	case r.Detail == "":
		return r.Reason.text()
	}
	return r.Reason.text() + " (" + r.Detail + ")"
}

// text says what is missing or wrong where the label alone does not.
func (r Reason) text() string {
	switch r {
	case ReasonMissing, ReasonMalformed, ReasonOversized, ReasonExpired:
		return "token " + string(r)
	case ReasonDouble:
		return "more than one token"
	case ReasonAlgorithm, ReasonSignature, ReasonDecrypt, ReasonClaims, ReasonPrivilege:
		return "token refused: " + string(r)
	case ReasonNotYetValid:
		return "token not yet valid"
	case ReasonApp, ReasonUser, ReasonRoom, ReasonStream, ReasonAction:
		return "token for another " + string(r)
	}
	return string(r)
}

func refuse(r Reason) error { return &Refusal{Reason: r} }

func refuseDetail(r Reason, detail string) error { return &Refusal{Reason: r, Detail: detail} }

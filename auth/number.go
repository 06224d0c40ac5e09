package auth

import (
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
)

// errNumber is what a date or amount in somebody's JSON must be.
var errNumber = errors.New("not a number")

// wholeNumber reads a JSON number that may have a fraction or an exponent, as
// dates in a JWT may (RFC 7519 §2, NumericDate) and as many languages write all their
// numbers. It is rounded down. Absent and null are 0.
func wholeNumber(raw json.RawMessage) (int64, error) {
	s := string(raw)
	if s == "" || s == "null" {
		return 0, nil
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	if s[0] != '-' && (s[0] < '0' || s[0] > '9') { // JSON's numbers, not all that ParseFloat reads
		return 0, errNumber
	}
	f, err := strconv.ParseFloat(s, 64)
	if f = math.Floor(f); err != nil || math.Abs(f) > 1<<53 {
		return 0, errNumber
	}
	return int64(f), nil
}

// fieldError returns what a JSON decoder's error says of a field: its name, and what is
// wrong with it. ok is false where the JSON itself is broken.
func fieldError(err error) (text string, ok bool) {
	if e, is := errors.AsType[*numberError](err); is {
		return e.Error(), true
	}
	if e, is := errors.AsType[*json.UnmarshalTypeError](err); is && e.Field != "" {
		return e.Field + ": not a " + e.Type.Kind().String(), true
	}
	if _, name, is := strings.Cut(err.Error(), "json: unknown field "); is { // encoding/json has no type for it
		return "not known: " + name[:min(len(name), 64)], true
	}
	return "", false
}

// numberError names the field that is no number.
type numberError struct{ field string }

func (e *numberError) Error() string { return e.field + ": " + errNumber.Error() }

// wholeNumbers reads several fields, and names the first that is wrong.
func wholeNumbers(fields ...numberField) error {
	for _, f := range fields {
		n, err := wholeNumber(f.raw)
		if err != nil {
			return &numberError{f.name}
		}
		*f.to = n
	}
	return nil
}

// numberField is where a number comes from and goes to.
type numberField struct {
	name string
	raw  json.RawMessage
	to   *int64
}

//go:build notranscode

package transcode

import (
	"errors"
	"testing"

	"liverelay/relay/flv"
)

// A program without the codecs says so.
func TestLeftOut(t *testing.T) {
	if _, err := New(flv.CodecAAC, nil, flv.CodecOpus); BuiltIn || !errors.Is(err, ErrLeftOut) {
		t.Error(err)
	}
}

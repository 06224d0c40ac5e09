//go:build notranscode

package transcode

import "liverelay/relay/flv"

// BuiltIn says whether the codecs are in this program.
const BuiltIn = false

// Coder is what New does not make.
type Coder struct{}

// New fails with ErrLeftOut.
func New(flv.Codec, []byte, flv.Codec) (*Coder, error) { return nil, ErrLeftOut }

// Audio fails with ErrLeftOut.
func (*Coder) Audio(int64, []byte) ([]Frame, error) { return nil, ErrLeftOut }

// Close does nothing.
func (*Coder) Close() {}

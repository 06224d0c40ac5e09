//go:build deps

// Package deps names the modules that the design asks for and that no package imports yet, so that
// go.mod keeps their versions: the WebRTC door will be pion/rtp's only importer.
package deps

import _ "github.com/pion/rtp"

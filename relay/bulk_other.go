//go:build unix && !linux

package relay

// bulk: there is no bulk sender here.
type bulk struct{}

func (bulk) detach(*rawSink) {}

func newBulkSender() sender { return nil }

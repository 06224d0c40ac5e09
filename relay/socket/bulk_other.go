//go:build unix && !linux

package socket

// bulkPlace: there is no bulk sender here.
type bulkPlace struct{}

func (bulkPlace) leave(*rawSink) {}

func newBulkSender() Sender { return nil }

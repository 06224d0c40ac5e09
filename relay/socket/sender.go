package socket

// Delivery is one batch on its way to one sink.
type Delivery struct {
	Sink  Sink
	Batch *Batch
	N     int // bytes written
	Err   error
}

// Sender writes deliveries without waiting, and notes in each how it went. It is for one goroutine
// at a time.
type Sender interface {
	Send([]Delivery)
}

// Direct makes a system call for each delivery.
type Direct struct{}

// Send implements [Sender].
func (Direct) Send(due []Delivery) {
	for i := range due {
		d := &due[i]
		d.N, d.Err = d.Sink.TryWrite(d.Batch)
	}
}

// NewDirect returns [Direct].
func NewDirect() Sender { return Direct{} }

// NewSender returns the best sender for many deliveries at once: of io_uring where the kernel has
// and allows it, else [Direct].
func NewSender() Sender {
	if bulk := newBulkSender(); bulk != nil {
		return bulk
	}
	return Direct{}
}

package socket

// MaxBuffers is how many messages a batch has at most: a system call takes as many (IOV_MAX is
// 1024).
const MaxBuffers = 256

// Batch is a run of messages in their wire form, shared by every player that is due the same ones.
type Batch struct {
	Bufs [][]byte // one a message, none empty; not changed between Prepare and Clear
	Size int      // their bytes, once prepared

	whole  []byte // all of it in one piece, unless it is nil
	vector vector // the same as the system call takes it, if there is no whole
	joined []byte // memory for whole

	attempt *attempt // of the sink that writes it; nil: it has not been
}

// joinBytes is up to which size several messages are copied into one piece for a system call that
// is made for many players: one buffer costs it less than several.
const joinBytes = 64 << 10

// NewBatch prepares bufs, at most [MaxBuffers] of them, none empty.
func NewBatch(bufs [][]byte) *Batch {
	b := &Batch{Bufs: bufs}
	b.Prepare(false)
	return b
}

// Prepare makes the rest of the batch for its Bufs, which are at most [MaxBuffers]; join: for many
// players.
func (b *Batch) Prepare(join bool) {
	b.Size = 0
	for _, buf := range b.Bufs {
		b.Size += len(buf)
	}
	switch {
	case len(b.Bufs) == 0:
	case len(b.Bufs) == 1:
		b.whole = b.Bufs[0]
	case join && b.Size <= joinBytes:
		for _, buf := range b.Bufs {
			b.joined = append(b.joined, buf...)
		}
		b.whole = b.joined
	default:
		b.vector.set(b.Bufs)
	}
}

// Clear empties the batch, for use again.
func (b *Batch) Clear() {
	clear(b.Bufs)
	b.Bufs, b.Size = b.Bufs[:0], 0
	b.whole, b.joined = nil, b.joined[:0]
	b.vector.clear()
}

// Rest returns what remains of the batch after n bytes.
func (b *Batch) Rest(n int) [][]byte {
	for i, buf := range b.Bufs {
		if n < len(buf) {
			rest := append([][]byte{buf[n:]}, b.Bufs[i+1:]...)
			return rest
		}
		n -= len(buf)
	}
	return nil
}

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

package relay

import "math/bits"

// freelist is the memory of frames that have left a stream's ring, for its next ones: a stream that
// flows leaves the garbage collector nothing to do, whose work would hold up small rooms for some
// milliseconds each second. It is guarded by stream.mu. A stream never gets another's, so that not
// even a mistake could show one's frames to the other's players.
type freelist struct {
	messages []*Message
	bytes    int // of the buffers
	most     int // bytes that they may take; see allow
	hand     int // the size that was last asked to let go of buffers
	buffers  [bufferSizes][][]byte
}

const (
	maxFreeMessages = 256
	maxFreeBytes    = 1 << 20  // of all buffers: two seconds of 4 Mbit/s
	maxFreeBuffer   = 16 << 10 // bytes; larger ones are few
	leastBuffer     = 128
	bufferSizes     = 24 // between those two
)

// bufferSize rounds n up to one of few sizes, so that buffers fit again: to multiples of
// [leastBuffer], from its eightfold on by a quarter at most. It returns which of them that is, too.
func bufferSize(n int) (size, which int) {
	const least = 7 // leastBuffer is 1<<least
	shift := max(bits.Len(uint(n-1))-3, least)
	steps := (n - 1) >> shift
	return (steps + 1) << shift, 4*(shift-least) + steps
}

// buffer returns n bytes, with whatever in them.
func (f *freelist) buffer(n int) []byte {
	if n > maxFreeBuffer {
		return make([]byte, n)
	}
	size, which := bufferSize(n)
	if buffer, ok := pop(&f.buffers[which]); ok {
		f.bytes -= size
		return buffer[:n]
	}
	return make([]byte, n, size)
}

// message returns an empty message.
func (f *freelist) message() *Message {
	if m, ok := pop(&f.messages); ok {
		return m
	}
	return new(Message)
}

// pop takes the last of a list, which no longer refers to it; false: it is empty.
func pop[T any](list *[]T) (T, bool) {
	var last, none T
	n := len(*list) - 1
	if n < 0 {
		return none, false
	}
	last, (*list)[n] = (*list)[n], none
	*list = (*list)[:n]
	return last, true
}

// keep takes a message that nobody refers to any more, nor to its bytes.
func (f *freelist) keep(m *Message) {
	buffer := m.buffer
	*m = Message{}
	if len(f.messages) < maxFreeMessages {
		f.messages = append(f.messages, m)
	}
	if cap(buffer) == 0 || cap(buffer) > maxFreeBuffer {
		return
	}
	size, which := bufferSize(cap(buffer))
	if size != cap(buffer) || f.bytes+size > f.most && !f.drop(f.bytes+size-f.most) {
		return
	}
	f.buffers[which] = append(f.buffers[which], buffer)
	f.bytes += size
}

// allow has the buffers take as much as the stream's ring, which takes bytes now, and a quarter
// more, for they are rounded up. That it was more once is forgotten little by little.
func (f *freelist) allow(bytes int) {
	f.most = min(max(bytes+bytes/4, f.most-f.most>>10), maxFreeBytes)
}

// drop lets go of at least n bytes, of one size after the other: of those that nobody asks for any
// more, in time. False: there are not as many.
func (f *freelist) drop(n int) bool {
	for range f.buffers {
		f.hand = (f.hand + 1) % bufferSizes
		for n > 0 {
			buffer, ok := pop(&f.buffers[f.hand])
			if !ok {
				break
			}
			f.bytes -= cap(buffer)
			n -= cap(buffer)
		}
		if n <= 0 {
			return true
		}
	}
	return false
}

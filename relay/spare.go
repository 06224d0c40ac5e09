package relay

import "math/bits"

// spare is the memory of frames that have left a stream's ring, for its next ones: a stream that flows leaves the
// garbage collector nothing to do, whose work would hold up small rooms for some milliseconds each second. It is guarded by
// stream.mu. A stream never gets another's, so that not even a mistake could show one's frames to the other's players.
type spare struct {
	messages []*Message
	rooms    map[int][][]byte // by capacity
	bytes    int              // of the rooms
}

const (
	maxSpareMessages = 256
	maxSpareBytes    = 1 << 20  // of all rooms: two seconds of 4 Mbit/s
	maxSpareRoom     = 16 << 10 // bytes; larger ones are few
	leastRoom        = 128
)

// roomSize rounds up, by a quarter at most: few sizes, so that rooms fit again.
func roomSize(n int) int {
	step := max(1<<bits.Len(uint(n-1))/8, leastRoom)
	return (n + step - 1) / step * step
}

// room returns n bytes, with whatever in them.
func (s *spare) room(n int) []byte {
	if n > maxSpareRoom {
		return make([]byte, n)
	}
	size := roomSize(n)
	if rooms := s.rooms[size]; len(rooms) > 0 {
		last := len(rooms) - 1
		room := rooms[last]
		rooms[last], s.rooms[size] = nil, rooms[:last]
		s.bytes -= size
		return room[:n]
	}
	return make([]byte, n, size)
}

// message returns an empty message.
func (s *spare) message() *Message {
	last := len(s.messages) - 1
	if last < 0 {
		return new(Message)
	}
	m := s.messages[last]
	s.messages[last], s.messages = nil, s.messages[:last]
	return m
}

// keep takes a message that nobody refers to any more, nor to its bytes.
func (s *spare) keep(m *Message) {
	room := m.room
	*m = Message{}
	if len(s.messages) < maxSpareMessages {
		s.messages = append(s.messages, m)
	}
	size := cap(room)
	if size == 0 || size > maxSpareRoom || size != roomSize(size) {
		return
	}
	if s.rooms == nil || s.bytes+size > maxSpareBytes { // what has gathered is of sizes that nobody asks for any more
		s.rooms, s.bytes = map[int][][]byte{}, 0
	}
	s.rooms[size] = append(s.rooms[size], room)
	s.bytes += size
}

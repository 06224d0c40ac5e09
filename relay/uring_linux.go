package relay

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// uring sends batches to many sockets with one system call for a whole group of
// them (io_uring(7)). The sockets are registered: the ring has a reference of its own to each, so
// that a descriptor that is closed and used anew meanwhile can never get another's bytes.
//
// Sends never wait (MSG_DONTWAIT), so that all are done when the call returns,
// and nothing of Go's memory is lent for longer than the call.
type uring struct {
	fd     int
	queues []byte
	sqes   []sqe
	sqTail *uint32
	cqHead *uint32
	cqTail *uint32
	cqes   []cqe

	mu   sync.Mutex
	free []int32 // places in the table of sockets that were given back
	used int32   // places that were ever given out
}

const (
	uringEntries = 128     // sends in one call: some 0.3 ms
	uringFiles   = 1 << 14 // sockets of one ring; more are written directly

	sysSetup, sysEnter, sysRegister = 425, 426, 427

	opSendmsg, opSend = 9, 26
	enterGetEvents    = 1
	sqeFixedFile      = 1
	registerFiles2    = 13
	registerUpdate    = 6
	registerSparse    = 1
	offsetSQEs        = 0x10000000
	featSingleMmap    = 1
)

// The kernel's structures, linux/io_uring.h.
type (
	sqe struct {
		opcode, flags uint8
		ioprio        uint16
		fd            int32
		off           uint64
		addr          uint64
		length        uint32
		msgFlags      uint32
		userData      uint64
		_             [24]byte
	}
	cqe struct {
		userData uint64
		res      int32
		flags    uint32
	}
	uringParams struct {
		sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
		_                                                    [3]uint32
		sq                                                   struct {
			head, tail, mask, entries, flags, dropped, array, _ uint32
			_                                                   uint64
		}
		cq struct {
			head, tail, mask, entries, overflow, cqes, flags, _ uint32
			_                                                   uint64
		}
	}
)

var errNoUring = errors.New("no io_uring here")

// newUring makes a ring, or fails where the kernel does not allow it. The ring
// goes with the last reference to it.
func newUring() (*uring, error) {
	var p uringParams
	fd, _, errno := syscall.Syscall(sysSetup, uringEntries, uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, errno
	}
	u := &uring{fd: int(fd)}
	if err := u.open(&p); err != nil {
		closeUring(u.fd, u.queues, u.sqes)
		return nil, err
	}
	fdCopy, queues, sqes := u.fd, u.queues, u.sqes
	runtime.AddCleanup(u, func(struct{}) { closeUring(fdCopy, queues, sqes) }, struct{}{})
	return u, nil
}

func (u *uring) open(p *uringParams) error {
	if p.features&featSingleMmap == 0 {
		return errNoUring
	}
	const access, shared = syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_SHARED | syscall.MAP_POPULATE
	size := max(p.sq.array+p.sqEntries*4, p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(cqe{})))
	queues, err := syscall.Mmap(u.fd, 0, int(size), access, shared)
	if err != nil {
		return err
	}
	u.queues = queues
	entries, err := syscall.Mmap(u.fd, offsetSQEs, int(p.sqEntries)*int(unsafe.Sizeof(sqe{})), access, shared)
	if err != nil {
		return err
	}
	word := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&queues[offset])) }
	u.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&entries[0])), p.sqEntries)
	u.cqes = unsafe.Slice((*cqe)(unsafe.Pointer(&queues[p.cq.cqes])), p.cqEntries)
	u.sqTail, u.cqHead, u.cqTail = word(p.sq.tail), word(p.cq.head), word(p.cq.tail)
	for i := range p.sqEntries { // each place of the queue is its own entry for ever
		*word(p.sq.array + 4*i) = i
	}
	table := struct {
		nr, flags        uint32
		resv, data, tags uint64
	}{nr: uringFiles, flags: registerSparse}
	return u.register(registerFiles2, unsafe.Pointer(&table), unsafe.Sizeof(table))
}

func closeUring(fd int, queues []byte, sqes []sqe) {
	if len(sqes) > 0 {
		_ = syscall.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(&sqes[0])), len(sqes)*int(unsafe.Sizeof(sqe{}))))
	}
	if len(queues) > 0 {
		_ = syscall.Munmap(queues)
	}
	_ = syscall.Close(fd)
}

func (u *uring) register(op uintptr, arg unsafe.Pointer, n uintptr) error {
	if _, _, errno := syscall.Syscall6(sysRegister, uintptr(u.fd), op, uintptr(arg), n, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// set puts a descriptor, or none (-1), in a place of the table.
func (u *uring) set(place, fd int32) error {
	update := struct {
		offset, resv uint32
		fds          uint64
	}{offset: uint32(place), fds: uint64(uintptr(unsafe.Pointer(&fd)))}
	err := u.register(registerUpdate, unsafe.Pointer(&update), 1)
	runtime.KeepAlive(&fd)
	return err
}

// has says whether a socket has a place, and gives it one if it can. A stream that went to another
// loop takes its sockets with it.
func (u *uring) has(s *rawSink) bool {
	if s.ring == u {
		return true
	}
	if s.ring != nil {
		s.ring.remove(s)
	}
	return u.add(s)
}

// add gives a socket a place; false if it gets none.
func (u *uring) add(s *rawSink) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	var place int32
	switch {
	case len(u.free) > 0:
		place = u.free[len(u.free)-1]
		u.free = u.free[:len(u.free)-1]
	case u.used < uringFiles:
		place = u.used
		u.used++
	default:
		return false
	}
	err := errNoUring
	controlErr := s.raw.Control(func(fd uintptr) { err = u.set(place, int32(fd)) })
	if err != nil || controlErr != nil {
		u.free = append(u.free, place)
		return false
	}
	s.ring, s.place = u, place
	return true
}

// remove takes a socket's place back, and so the ring's reference to the socket.
func (u *uring) remove(s *rawSink) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.set(s.place, -1) == nil {
		u.free = append(u.free, s.place)
	}
	s.ring = nil
}

// send implements sender.
func (u *uring) send(due []delivery) {
	for len(due) > 0 {
		n := min(len(due), uringEntries)
		u.group(due[:n])
		due = due[n:]
	}
}

// group sends as many deliveries as the queue holds.
func (u *uring) group(due []delivery) {
	tail, mask := *u.sqTail, uint32(len(u.sqes)-1)
	queued := uint32(0)
	for i := range due {
		d := &due[i]
		s, ok := d.s.sink.(*rawSink)
		if !ok || !u.has(s) {
			d.n, d.err = d.s.sink.TryWrite(d.batch)
			continue
		}
		e := &u.sqes[(tail+queued)&mask]
		*e = sqe{opcode: opSend, flags: sqeFixedFile, fd: s.place, msgFlags: sendFlags, userData: uint64(i)}
		if len(d.batch.Bufs) > 1 {
			e.opcode, e.addr, e.length = opSendmsg, uint64(uintptr(unsafe.Pointer(&d.batch.vector.header))), 1
		} else {
			buf := d.batch.Bufs[0]
			e.addr, e.length = uint64(uintptr(unsafe.Pointer(&buf[0]))), uint32(len(buf))
		}
		d.err = errNoUring // until it is seen to be done
		queued++
	}
	if queued == 0 {
		return
	}
	atomic.StoreUint32(u.sqTail, tail+queued)
	taken, _, errno := syscall.RawSyscall6(sysEnter, uintptr(u.fd), uintptr(queued), 0, 0, 0, 0)
	if errno != 0 {
		taken = 0
	}
	if uint32(taken) < queued { // what the kernel did not take is written directly
		atomic.StoreUint32(u.sqTail, tail+uint32(taken))
		for i := uint32(taken); i < queued; i++ {
			d := &due[u.sqes[(tail+i)&mask].userData]
			d.err = nil
			d.n, d.err = d.s.sink.TryWrite(d.batch)
		}
	}
	for left := uint32(taken); left > 0; {
		left -= u.reap(due)
		if left == 0 {
			break
		}
		// Never seen: sends that may not wait are done at once.
		_, _, errno := syscall.Syscall6(sysEnter, uintptr(u.fd), 0, uintptr(left), enterGetEvents, 0, 0)
		if errno != 0 && errno != syscall.EINTR {
			break // the ring is broken, and with it these players' connections
		}
	}
	runtime.KeepAlive(due)
}

// reap notes how the sends that are done went, and returns how many.
func (u *uring) reap(due []delivery) uint32 {
	head, mask := *u.cqHead, uint32(len(u.cqes)-1)
	tail := atomic.LoadUint32(u.cqTail)
	for i := head; i != tail; i++ {
		c := u.cqes[i&mask]
		d := &due[c.userData]
		switch errno := syscall.Errno(-c.res); {
		case c.res >= 0:
			d.n, d.err = int(c.res), nil
		case errno == syscall.EAGAIN || errno == syscall.EINTR:
			d.err = nil
		default:
			d.err = errno
		}
	}
	atomic.StoreUint32(u.cqHead, tail)
	return tail - head
}

// bulk is a socket's place in a ring.
type bulk struct {
	ring  *uring // nil: in none
	place int32
}

func (b *bulk) detach(s *rawSink) {
	if b.ring != nil {
		b.ring.remove(s)
	}
}

// uringRefused remembers that the kernel does not allow rings here.
var uringRefused atomic.Bool

// newBulkSender returns a sender for shards of many subscribers, or nil if there is none here.
func newBulkSender() sender {
	if uringRefused.Load() {
		return nil
	}
	u, err := newUring()
	if err != nil {
		uringRefused.Store(true)
		return nil
	}
	return u
}

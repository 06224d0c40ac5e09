// Package uring sends to many sockets with one system call (io_uring(7)), where the
// kernel allows it. What is queued never waits (MSG_DONTWAIT): all of it is done when Submit
// returns, and no memory is lent to the kernel for longer.
package uring

import (
	"errors"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// Ring is one queue of calls and of their results. It is for one goroutine at a time, but for
// SetFile.
type Ring struct {
	fd     int
	queues []byte
	sqes   []Call
	sqTail *uint32
	cqHead *uint32
	cqTail *uint32
	cqes   []Result

	queued uint32 // calls since the last Submit
}

// Call is a submission queue entry, struct io_uring_sqe in linux/io_uring.h.
type Call struct {
	opcode, flags uint8
	ioprio        uint16
	fd            int32
	off           uint64
	addr          uint64
	length        uint32
	msgFlags      uint32
	ID            uint64 // comes back with the result
	_             [24]byte
}

// Result is a completion queue entry, struct io_uring_cqe.
type Result struct {
	ID    uint64 // the call's
	N     int32  // what the call returned: bytes, or a negative errno
	flags uint32
}

// Errno returns why the call failed; 0: it did not.
func (r Result) Errno() syscall.Errno {
	if r.N >= 0 {
		return 0
	}
	return syscall.Errno(-r.N)
}

// params is struct io_uring_params.
type params struct {
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

const (
	sysSetup, sysEnter, sysRegister = 425, 426, 427

	opSendmsg, opSend = 9, 26
	enterGetEvents    = 1
	fixedFile         = 1
	registerFiles2    = 13
	registerUpdate    = 6
	registerSparse    = 1
	offsetSQEs        = 0x10000000
	featSingleMmap    = 1
)

var errOld = errors.New("io_uring without a single map")

// New makes a ring for so many calls at once, a power of two, with a table of so many files (see
// SetFile). It fails where the kernel does not allow it. The ring goes with the last reference to
// it.
func New(calls, files int) (*Ring, error) {
	var p params
	fd, _, errno := syscall.Syscall(sysSetup, uintptr(calls), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, errno
	}
	r := &Ring{fd: int(fd)}
	if err := r.open(&p, files); err != nil {
		closeRing(r.fd, r.queues, r.sqes)
		return nil, err
	}
	fdCopy, queues, sqes := r.fd, r.queues, r.sqes
	runtime.AddCleanup(r, func(struct{}) { closeRing(fdCopy, queues, sqes) }, struct{}{})
	return r, nil
}

func (r *Ring) open(p *params, files int) error {
	if p.features&featSingleMmap == 0 {
		return errOld
	}
	const access, shared = syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_SHARED | syscall.MAP_POPULATE
	size := max(p.sq.array+p.sqEntries*4, p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(Result{})))
	queues, err := syscall.Mmap(r.fd, 0, int(size), access, shared)
	if err != nil {
		return err
	}
	r.queues = queues
	entries, err := syscall.Mmap(r.fd, offsetSQEs, int(p.sqEntries)*int(unsafe.Sizeof(Call{})), access, shared)
	if err != nil {
		return err
	}
	word := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&queues[offset])) }
	r.sqes = unsafe.Slice((*Call)(unsafe.Pointer(&entries[0])), p.sqEntries)
	r.cqes = unsafe.Slice((*Result)(unsafe.Pointer(&queues[p.cq.cqes])), p.cqEntries)
	r.sqTail, r.cqHead, r.cqTail = word(p.sq.tail), word(p.cq.head), word(p.cq.tail)
	for i := range p.sqEntries { // each place of the queue is its own entry for ever
		*word(p.sq.array + 4*i) = i
	}
	table := struct {
		nr, flags        uint32
		resv, data, tags uint64
	}{nr: uint32(files), flags: registerSparse}
	return r.register(registerFiles2, unsafe.Pointer(&table), unsafe.Sizeof(table))
}

func closeRing(fd int, queues []byte, sqes []Call) {
	if len(sqes) > 0 {
		_ = syscall.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(&sqes[0])), len(sqes)*int(unsafe.Sizeof(Call{}))))
	}
	if len(queues) > 0 {
		_ = syscall.Munmap(queues)
	}
	_ = syscall.Close(fd)
}

func (r *Ring) register(op uintptr, arg unsafe.Pointer, n uintptr) error {
	if _, _, errno := syscall.Syscall6(sysRegister, uintptr(r.fd), op, uintptr(arg), n, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// SetFile puts a descriptor, or none (-1), in a place of the ring's table. The ring then has a
// reference of its own to the file: a descriptor that is closed and used anew meanwhile can never
// get another's bytes.
func (r *Ring) SetFile(place, fd int32) error {
	update := struct {
		offset, resv uint32
		fds          uint64
	}{offset: uint32(place), fds: uint64(uintptr(unsafe.Pointer(&fd)))}
	err := r.register(registerUpdate, unsafe.Pointer(&update), 1)
	runtime.KeepAlive(&fd)
	return err
}

// Len is how many calls can be queued at once.
func (r *Ring) Len() int { return len(r.sqes) }

// queue adds a call; the caller has seen to it that there is room.
func (r *Ring) queue(c Call) {
	*r.call(*r.sqTail + r.queued) = c
	r.queued++
}

func (r *Ring) call(position uint32) *Call { return &r.sqes[position&uint32(len(r.sqes)-1)] }

// Send queues send(2) of b, to the file in a place. The caller keeps b alive until Submit has
// returned.
func (r *Ring) Send(id uint64, place int32, b []byte, flags int) {
	r.queue(Call{opcode: opSend, flags: fixedFile, fd: place, addr: uint64(uintptr(unsafe.Pointer(&b[0]))), length: uint32(len(b)),
		msgFlags: uint32(flags | syscall.MSG_DONTWAIT), ID: id})
}

// Sendmsg queues sendmsg(2), likewise.
func (r *Ring) Sendmsg(id uint64, place int32, m *syscall.Msghdr, flags int) {
	r.queue(Call{opcode: opSendmsg, flags: fixedFile, fd: place, addr: uint64(uintptr(unsafe.Pointer(m))), length: 1,
		msgFlags: uint32(flags | syscall.MSG_DONTWAIT), ID: id})
}

// Submit makes the queued calls, and returns how many of them the kernel took, all but in an
// emergency: the first of them. Their results come from Next; those of the others never do.
func (r *Ring) Submit() int {
	tail, queued := *r.sqTail, r.queued
	r.queued = 0
	if queued == 0 {
		return 0
	}
	atomic.StoreUint32(r.sqTail, tail+queued)
	taken, _, errno := syscall.RawSyscall6(sysEnter, uintptr(r.fd), uintptr(queued), 0, 0, 0, 0)
	if errno != 0 {
		taken = 0
	}
	if uint32(taken) < queued {
		atomic.StoreUint32(r.sqTail, tail+uint32(taken))
	}
	return int(taken)
}

// Next returns another result, of calls in any order; false: there is none yet.
func (r *Ring) Next() (Result, bool) {
	head := *r.cqHead
	if head == atomic.LoadUint32(r.cqTail) {
		return Result{}, false
	}
	result := r.cqes[head&uint32(len(r.cqes)-1)]
	atomic.StoreUint32(r.cqHead, head+1)
	return result, true
}

// Wait waits for n more results. It is an emergency: calls that may not wait are done when Submit
// returns.
func (r *Ring) Wait(n int) error {
	_, _, errno := syscall.Syscall6(sysEnter, uintptr(r.fd), 0, uintptr(n), enterGetEvents, 0, 0)
	if errno != 0 && errno != syscall.EINTR {
		return errno
	}
	return nil
}

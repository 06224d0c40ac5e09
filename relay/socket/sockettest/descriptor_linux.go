package sockettest

import (
	"os"
	"syscall"
	"testing"
)

// Descriptors are all that a lowered limit leaves, taken until the test ends.
type Descriptors struct{ files []int }

// Exhaust takes all descriptors of the process below limit.
func Exhaust(t *testing.T, limit uint64) *Descriptors {
	t.Helper()
	var was syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
		t.Fatal(err)
	}
	lowered := was
	lowered.Cur = min(was.Cur, limit)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &lowered); err != nil {
		t.Fatal(err)
	}
	d := new(Descriptors)
	t.Cleanup(func() {
		for len(d.files) > 0 {
			d.Spare()
		}
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was)
	})
	for {
		fd, err := syscall.Open(os.DevNull, syscall.O_CLOEXEC, 0)
		if err != nil {
			return d
		}
		d.files = append(d.files, fd)
	}
}

// Spare gives one back.
func (d *Descriptors) Spare() {
	last := len(d.files) - 1
	_ = syscall.Close(d.files[last])
	d.files = d.files[:last]
}

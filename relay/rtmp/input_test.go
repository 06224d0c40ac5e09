package rtmp

import (
	"errors"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
)

// hookCounter counts what an input tells its hook.
type hookCounter struct{ acknowledged, quieted int }

func (h *hookCounter) quiet() error               { h.quieted++; return errEnded }
func (h *hookCounter) acknowledge(n uint32) error { h.acknowledged = int(n); return nil }

// What was read elsewhere counts as what the input reads itself.
func TestInputTakes(t *testing.T) {
	var in input
	var total atomic.Uint64
	hook := new(hookCounter)
	in.open(strings.NewReader("def"), hook, &total)
	in.window = 3
	in.giveBack()
	if err := in.feed([]byte("abc"), nil); err != nil || !in.buffered() {
		t.Fatalf("%v, buffered %v", err, in.buffered())
	}
	if in.received != 3 || total.Load() != 3 || hook.acknowledged != 3 {
		t.Errorf("received %d, in total %d, acknowledged %d; want 3", in.received, total.Load(), hook.acknowledged)
	}
	if b, err := io.ReadAll(&in); string(b) != "abcdef" || err != nil {
		t.Errorf("read %q, %v", b, err)
	}
	much := strings.Repeat("more than the buffer", inputSize/10)
	if err := in.feed([]byte(much), nil); err != nil {
		t.Error(err)
	}
	if b, err := io.ReadAll(&in); string(b) != much || err != nil {
		t.Errorf("read %d bytes of %d, %v", len(b), len(much), err)
	}
	if err := in.feed(nil, os.ErrDeadlineExceeded); !errors.Is(err, errEnded) || hook.quieted != 1 {
		t.Errorf("%v, quiet %d times", err, hook.quieted)
	}
	if err := in.feed(nil, io.EOF); err != io.EOF {
		t.Error(err)
	}
}

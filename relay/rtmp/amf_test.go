package rtmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/yutopp/go-amf0"
)

func num(v float64) []byte {
	return binary.BigEndian.AppendUint64([]byte{amfNumber}, math.Float64bits(v))
}

func key(s string) []byte { return append([]byte{byte(len(s) >> 8), byte(len(s))}, s...) }

func str(s string) []byte { return append([]byte{amfString}, key(s)...) }

var objectEnd = []byte{0, 0, amfObjectEnd}

// nest makes n objects within each other.
func nest(n int, closed bool) []byte {
	b := bytes.Repeat(append([]byte{amfObject}, key("a")...), n)
	b = append(b, amfNull)
	if closed {
		b = append(b, bytes.Repeat(objectEnd, n)...)
	}
	return b
}

var amfGolden = []struct {
	name string
	wire []byte
	want any
	err  error
}{
	{"number", num(-1.5), -1.5, nil},
	{"boolean", []byte{amfBoolean, 2}, true, nil},
	{"string", str("live"), "live", nil},
	{"string that is not UTF-8", str("\xff\xfe"), "\xff\xfe", nil},
	{"long string", cat([]byte{amfLongString, 0, 1, 0, 0}, make([]byte, 65536)), string(make([]byte, 65536)), nil},
	{"null", []byte{amfNull}, nil, nil},
	{"undefined", []byte{amfUndefined}, nil, nil},
	{"unsupported", []byte{amfUnsupported}, nil, nil},
	{"reference", []byte{amfReference, 0, 1}, nil, nil},
	{"date", cat([]byte{amfDate}, num(5)[1:], []byte{0, 0}), 5.0, nil},
	{"xml", []byte{amfXML, 0, 0, 0, 1, 'x'}, "x", nil},
	{"object", cat([]byte{amfObject}, key("a"), num(1), key("b"), []byte{amfUndefined}, objectEnd), map[string]any{"a": 1.0, "b": nil}, nil},
	{"object with an empty name", cat([]byte{amfObject}, key(""), num(1), objectEnd), map[string]any{"": 1.0}, nil},
	{"typed object", cat([]byte{amfTypedObject}, key("Class"), key("a"), num(1), objectEnd), map[string]any{"a": 1.0}, nil},
	{"strict array", cat([]byte{amfStrictArray, 0, 0, 0, 2}, str("*"), []byte{amfNull}), []any{"*", nil}, nil},
	{"ecma array, wrong count", cat([]byte{amfECMAArray, 0xff, 0xff, 0xff, 0xff}, key("a"), num(1), objectEnd), map[string]any{"a": 1.0}, nil},
	{"ecma array without end", cat([]byte{amfECMAArray, 0, 0, 0, 1}, key("a"), num(1)), map[string]any{"a": 1.0}, nil},
	{"ecma array within", cat([]byte{amfECMAArray, 0, 0, 0, 2}, key("a"), num(1), key("b"), []byte{amfECMAArray, 0, 0, 0, 0}, objectEnd, objectEnd),
		map[string]any{"a": 1.0, "b": map[string]any{}}, nil},
	{"32 deep", nest(32, true), nil, nil},

	{"33 deep", nest(33, true), nil, errAMFLimit},
	{"1000 deep", nest(1000, false), nil, errAMFLimit},
	{"array of 2^31-1", []byte{amfStrictArray, 0x7f, 0xff, 0xff, 0xff}, nil, errAMFLimit},
	{"array of 2^32-1", []byte{amfStrictArray, 0xff, 0xff, 0xff, 0xff, amfNull}, nil, errAMFLimit},
	{"a million values", cat([]byte{amfStrictArray, 0, 15, 0x42, 0x40}, bytes.Repeat([]byte{amfNull}, 1_000_000)), nil, errAMFLimit},
	{"arrays within arrays", bytes.Repeat([]byte{amfStrictArray, 0, 0, 0, 1}, 1000), nil, errAMFLimit},
	{"short number", []byte{amfNumber, 0}, nil, errAMF},
	{"short string", []byte{amfString, 0, 9, 'a'}, nil, errAMF},
	{"long string of 4 GiB", []byte{amfLongString, 0xff, 0xff, 0xff, 0xff, 'a'}, nil, errAMF},
	{"object without end", cat([]byte{amfObject}, key("a"), num(1)), nil, errAMF},
	{"object end alone", []byte{amfObjectEnd}, nil, errAMF},
	{"movie clip", []byte{4}, nil, errAMF},
	{"marker 0x12", []byte{0x12}, nil, errAMF},
	{"AMF3", []byte{amfAVMPlus, 1}, nil, errAMF3},
}

func TestAMFGolden(t *testing.T) {
	for _, row := range amfGolden {
		t.Run(row.name, func(t *testing.T) {
			if err := guard(row.wire); !errors.Is(err, row.err) {
				t.Fatalf("guard: %v, want %v", err, row.err)
			}
			w := amfWalker{b: row.wire, left: amfDecoded}
			got, err := w.decode(amfDepth)
			if !errors.Is(err, row.err) {
				t.Fatalf("decode: %v, want %v", err, row.err)
			}
			if row.err == nil && row.want != nil && !reflect.DeepEqual(got, row.want) {
				t.Fatalf("got %#v, want %#v", got, row.want)
			}
		})
	}
}

func TestGuardAllocatesNothing(t *testing.T) {
	for _, row := range amfGolden {
		if row.err != nil {
			continue
		}
		if n := testing.AllocsPerRun(10, func() { _ = guard(row.wire) }); n != 0 {
			t.Errorf("%s: %v allocations", row.name, n)
		}
	}
	bomb := nest(3_000_000, false)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_ = guard(bomb)
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
		t.Errorf("%d bytes for a bomb", n)
	}
}

// TestAMFOfGoAMF0 reads what go-amf0 writes: our own replies, and other Go programs' commands.
func TestAMFOfGoAMF0(t *testing.T) {
	for _, v := range []any{1.0, "s", true, nil, []any{"a", 2.0}, map[string]any{"k": map[string]any{"n": nil}}, amf0.ECMAArray{"x": 1.0}} {
		var b bytes.Buffer
		if err := amf0.NewEncoder(&b).Encode(v); err != nil {
			t.Fatal(err)
		}
		w := amfWalker{b: b.Bytes(), left: amfDecoded}
		got, err := w.decode(amfDepth)
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := v.(amf0.ECMAArray); ok {
			v = map[string]any(m)
		}
		if !reflect.DeepEqual(got, v) {
			t.Errorf("got %#v, want %#v", got, v)
		}
	}
}

// FuzzAMF: the guard and the decoder must agree, and what passes the guard is
// safe for anybody's decoder.
func FuzzAMF(f *testing.F) {
	for _, row := range amfGolden {
		if len(row.wire) < 1<<16 {
			f.Add(row.wire)
		}
	}
	f.Add(cat(str("connect"), num(1), []byte{amfObject}, key("app"), str("live"), key("fourCcList"),
		[]byte{amfStrictArray, 0, 0, 0, 1}, str("hvc1"), objectEnd))
	f.Add([]byte(strings.Repeat("\x0a\x00\x00\x00\x04", 40)))
	f.Fuzz(func(t *testing.T, b []byte) {
		err := guard(b)
		w := amfWalker{b: b, left: amfElements}
		var derr error
		for len(w.b) > 0 && derr == nil {
			_, derr = w.decode(amfDepth)
		}
		for _, target := range []error{errAMF, errAMFLimit, errAMF3} {
			if errors.Is(err, target) != errors.Is(derr, target) {
				t.Fatalf("guard: %v, decode: %v", err, derr)
			}
		}
		if err != nil && !errors.Is(err, errAMF) && !errors.Is(err, errAMFLimit) && !errors.Is(err, errAMF3) {
			t.Fatal(err)
		}
	})
}

package rtmp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// What a peer may nest and list in one message, and how much of it we are ready
// to turn into Go values.
const (
	amfDepth    = 32      // objects within objects
	amfElements = 1 << 18 // values the guard walks
	amfDecoded  = 4096    // values of a command that are decoded
)

// errAMFLimit is a value built to harm: too deep, or larger than its message.
// errAMF is one that just cannot be read. errAMF3 means AMF3 follows, which
// is passed on but not read.
var (
	errAMFLimit = errors.New("AMF value exceeds limits")
	errAMF      = errors.New("malformed AMF")
	errAMF3     = errors.New("AMF3 value")
)

// AMF0 type markers (AMF 0 specification §2.1).
const (
	amfNumber      = 0x00
	amfBoolean     = 0x01
	amfString      = 0x02
	amfObject      = 0x03
	amfNull        = 0x05
	amfUndefined   = 0x06
	amfReference   = 0x07
	amfECMAArray   = 0x08
	amfObjectEnd   = 0x09
	amfStrictArray = 0x0a
	amfDate        = 0x0b
	amfLongString  = 0x0c
	amfUnsupported = 0x0d
	amfXML         = 0x0f
	amfTypedObject = 0x10
	amfAVMPlus     = 0x11
)

// guard walks all AMF0 values of b without allocating anything. It stands before
// everything that decodes, keeps or passes on AMF: what leaves this server nests,
// lists and ends within limits, so that a decoder with none of its own is safe.
func guard(b []byte) error {
	w := amfWalker{b: b, left: amfElements}
	for len(w.b) > 0 {
		if err := w.value(amfDepth); err != nil {
			return err
		}
	}
	return nil
}

// amfWalker steps over AMF0 values. b is what is left of the message, left how
// many values may still come.
type amfWalker struct {
	b    []byte
	left int
}

func (w *amfWalker) bytes(n int) ([]byte, error) {
	if n > len(w.b) {
		return nil, fmt.Errorf("%w: %d bytes wanted, %d left", errAMF, n, len(w.b))
	}
	b := w.b[:n]
	w.b = w.b[n:]
	return b, nil
}

func (w *amfWalker) u16() (int, error) {
	b, err := w.bytes(2)
	if err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint16(b)), nil
}

func (w *amfWalker) u32() (int, error) {
	b, err := w.bytes(4)
	if err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint32(b)), nil
}

func (w *amfWalker) short() ([]byte, error) {
	n, err := w.u16()
	if err != nil {
		return nil, err
	}
	return w.bytes(n)
}

func (w *amfWalker) long() ([]byte, error) {
	n, err := w.u32()
	if err != nil {
		return nil, err
	}
	return w.bytes(n)
}

// marker takes a value's marker and counts the value.
func (w *amfWalker) marker(depth int) (byte, error) {
	if depth < 0 {
		return 0, fmt.Errorf("%w: nested deeper than %d", errAMFLimit, amfDepth)
	}
	if w.left--; w.left < 0 {
		return 0, fmt.Errorf("%w: too many values", errAMFLimit)
	}
	b, err := w.bytes(1)
	if err != nil {
		return 0, err
	}
	return b[0], nil
}

// count takes the length of a strict array. Each element has one byte at least.
func (w *amfWalker) count() (int, error) {
	n, err := w.u32()
	if err == nil && n > len(w.b) {
		err = fmt.Errorf("%w: array of %d elements in %d bytes", errAMFLimit, n, len(w.b))
	}
	return n, err
}

// key takes a property's name. end is true at the end of the object. An ECMA
// array whose end marker is missing at the end of the message is ended there:
// some encoders write it so.
func (w *amfWalker) key(ecma bool) (key []byte, end bool, err error) {
	if ecma && len(w.b) == 0 {
		return nil, true, nil
	}
	if key, err = w.short(); err != nil || len(key) > 0 {
		return key, false, err
	}
	if len(w.b) > 0 && w.b[0] == amfObjectEnd {
		w.b = w.b[1:]
		return nil, true, nil
	}
	return key, false, nil // an empty name is odd, but a name
}

// value steps over one value.
func (w *amfWalker) value(depth int) error {
	marker, err := w.marker(depth)
	if err != nil {
		return err
	}
	switch marker {
	case amfNumber:
		_, err = w.bytes(8)
	case amfBoolean:
		_, err = w.bytes(1)
	case amfString:
		_, err = w.short()
	case amfNull, amfUndefined, amfUnsupported:
	case amfReference:
		_, err = w.bytes(2)
	case amfDate:
		_, err = w.bytes(10)
	case amfLongString, amfXML:
		_, err = w.long()
	case amfStrictArray:
		var n int
		if n, err = w.count(); err != nil {
			return err
		}
		for range n {
			if err := w.value(depth - 1); err != nil {
				return err
			}
		}
	case amfTypedObject:
		if _, err = w.short(); err != nil {
			return err
		}
		return w.properties(depth, false)
	case amfECMAArray:
		if _, err = w.bytes(4); err != nil { // a hint, often wrong
			return err
		}
		return w.properties(depth, true)
	case amfObject:
		return w.properties(depth, false)
	case amfAVMPlus:
		return errAMF3
	default:
		return fmt.Errorf("%w: marker %#02x", errAMF, marker)
	}
	return err
}

func (w *amfWalker) properties(depth int, ecma bool) error {
	for {
		_, end, err := w.key(ecma)
		if err != nil || end {
			return err
		}
		if err := w.value(depth - 1); err != nil {
			return err
		}
	}
}

// decode reads one value: float64, bool, string, nil, []any, map[string]any.
// Dates are their number, references and the unsupported nil. Text is taken as
// it is, valid UTF-8 or not. Only bytes that passed guard come here.
func (w *amfWalker) decode(depth int) (any, error) {
	marker, err := w.marker(depth)
	if err != nil {
		return nil, err
	}
	switch marker {
	case amfNumber, amfDate:
		b, err := w.bytes(8)
		if err != nil {
			return nil, err
		}
		if marker == amfDate {
			_, err = w.bytes(2) // time zone, always 0
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), err
	case amfBoolean:
		b, err := w.bytes(1)
		return err == nil && b[0] != 0, err
	case amfString:
		b, err := w.short()
		return string(b), err
	case amfLongString, amfXML:
		b, err := w.long()
		return string(b), err
	case amfNull, amfUndefined, amfUnsupported:
		return nil, nil
	case amfReference:
		_, err := w.bytes(2)
		return nil, err
	case amfStrictArray:
		n, err := w.count()
		if err != nil {
			return nil, err
		}
		list := make([]any, 0, min(n, w.left, 64))
		for range n {
			v, err := w.decode(depth - 1)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		return list, nil
	case amfTypedObject:
		if _, err := w.short(); err != nil {
			return nil, err
		}
		return w.decodeProperties(depth, false)
	case amfECMAArray:
		if _, err := w.bytes(4); err != nil {
			return nil, err
		}
		return w.decodeProperties(depth, true)
	case amfObject:
		return w.decodeProperties(depth, false)
	case amfAVMPlus:
		return nil, errAMF3
	}
	return nil, fmt.Errorf("%w: marker %#02x", errAMF, marker)
}

func (w *amfWalker) decodeProperties(depth int, ecma bool) (map[string]any, error) {
	object := map[string]any{}
	for {
		key, end, err := w.key(ecma)
		if err != nil || end {
			return object, err
		}
		v, err := w.decode(depth - 1)
		if err != nil {
			return nil, err
		}
		object[string(key)] = v
	}
}

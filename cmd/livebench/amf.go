package main

import (
	"encoding/binary"
	"errors"
	"math"
)

// amfWriter appends AMF0 values (AMF 0 §2). It knows what RTMP's commands need, and no more.
type amfWriter struct{ b []byte }

func (w *amfWriter) num(v float64) {
	w.b = binary.BigEndian.AppendUint64(append(w.b, 0), math.Float64bits(v))
}

func (w *amfWriter) str(s string) {
	w.b = append(w.b, 2)
	w.key(s)
}

func (w *amfWriter) null() { w.b = append(w.b, 5) }

func (w *amfWriter) key(s string) {
	w.b = append(binary.BigEndian.AppendUint16(w.b, uint16(len(s))), s...)
}

// object and array write pairs of a name and a string or a float64.
func (w *amfWriter) object(pairs ...any) {
	w.b = append(w.b, 3)
	w.pairs(pairs)
}

func (w *amfWriter) array(pairs ...any) {
	w.b = binary.BigEndian.AppendUint32(append(w.b, 8), uint32(len(pairs)/2))
	w.pairs(pairs)
}

func (w *amfWriter) pairs(pairs []any) {
	for i := 0; i+1 < len(pairs); i += 2 {
		w.key(pairs[i].(string))
		switch v := pairs[i+1].(type) {
		case string:
			w.str(v)
		case float64:
			w.num(v)
		}
	}
	w.b = append(w.b, 0, 0, 9)
}

var errAMF = errors.New("bad AMF0")

const amfDepth = 8

// readAMF reads all values of b: float64, bool, string, map[string]any, []any or nil.
func readAMF(b []byte) ([]any, error) {
	var values []any
	for len(b) > 0 {
		v, rest, err := readValue(b, 0)
		if err != nil {
			return values, err
		}
		values, b = append(values, v), rest
	}
	return values, nil
}

func readValue(b []byte, depth int) (any, []byte, error) {
	if len(b) == 0 || depth > amfDepth {
		return nil, nil, errAMF
	}
	marker, b := b[0], b[1:]
	switch marker {
	case 0:
		if len(b) < 8 {
			return nil, nil, errAMF
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), b[8:], nil
	case 1:
		if len(b) < 1 {
			return nil, nil, errAMF
		}
		return b[0] != 0, b[1:], nil
	case 2:
		s, rest, err := readKey(b)
		return s, rest, err
	case 5, 6:
		return nil, b, nil
	case 8:
		if len(b) < 4 {
			return nil, nil, errAMF
		}
		return readObject(b[4:], depth)
	case 3:
		return readObject(b, depth)
	case 10:
		if len(b) < 4 {
			return nil, nil, errAMF
		}
		n := binary.BigEndian.Uint32(b)
		b = b[4:]
		var list []any
		for ; n > 0; n-- {
			v, rest, err := readValue(b, depth+1)
			if err != nil {
				return nil, nil, err
			}
			list, b = append(list, v), rest
		}
		return list, b, nil
	}
	return nil, nil, errAMF
}

func readObject(b []byte, depth int) (any, []byte, error) {
	m := map[string]any{}
	for {
		if len(b) >= 3 && b[0] == 0 && b[1] == 0 && b[2] == 9 {
			return m, b[3:], nil
		}
		name, rest, err := readKey(b)
		if err != nil {
			return nil, nil, err
		}
		v, rest, err := readValue(rest, depth+1)
		if err != nil {
			return nil, nil, err
		}
		m[name], b = v, rest
	}
}

func readKey(b []byte) (string, []byte, error) {
	if len(b) < 2 {
		return "", nil, errAMF
	}
	n := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; len(b) < n {
		return "", nil, errAMF
	}
	return string(b[:n]), b[n:], nil
}

package flv

import (
	"bytes"
	"errors"
	"testing"
)

// hevcRecordOf makes a record of lengths of four bytes; each array is of the type of its units.
func hevcRecordOf(arrays ...[][]byte) []byte {
	b := make([]byte, 23)
	b[0], b[21], b[22] = 1, 0xFC|3, byte(len(arrays))
	for _, nals := range arrays {
		b = append(b, 0x80|nals[0][0]>>1, 0, byte(len(nals)))
		b = appendNALs(b, nals)
	}
	return b
}

// A record's sets are told apart in whatever order they stand, and one that is cut off is none.
func TestHEVCSets(t *testing.T) {
	vps, sps, sei := unhex("40010c01"), unhex("42010101"), unhex("4e010500")
	pps := [][]byte{unhex("4401c172"), unhex("4401c173b4")}
	record := hevcRecordOf([][]byte{sei}, pps, [][]byte{sps}, [][]byte{vps})
	got, err := ParseHEVCSets(record)
	if err != nil || got.LengthSize != 4 || len(got.VPS) != 1 || len(got.SPS) != 1 || len(got.PPS) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, nal := range [][]byte{got.VPS[0], got.SPS[0], got.PPS[0], got.PPS[1]} {
		if want := [][]byte{vps, sps, pps[0], pps[1]}[i]; !bytes.Equal(nal, want) {
			t.Errorf("set %d is % x, want % x", i, nal, want)
		}
	}
	for n := range record {
		if got, err := ParseHEVCSets(record[:n]); !errors.Is(err, ErrBadConfig) {
			t.Errorf("%d bytes: %+v, %v", n, got, err)
		}
	}
}

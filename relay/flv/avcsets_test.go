package flv

import (
	"bytes"
	"errors"
	"testing"
)

// A record is read as it was made, whatever follows it, and its sets are those that were given.
func TestAVCSets(t *testing.T) {
	sps := [][]byte{unhex("6742c01ed9"), unhex("6742c01fd9")}
	pps := [][]byte{unhex("68ce3c80"), unhex("68ce3c81"), unhex("68")}
	record := AppendAVCConfig(nil, sps, pps)
	got, err := ParseAVCSets(append(record, 0xFD, 0xF8))
	if err != nil || got.LengthSize != 4 || len(got.SPS) != 2 || len(got.PPS) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	for i, nal := range append(got.SPS, got.PPS...) {
		if !bytes.Equal(nal, append(sps, pps...)[i]) {
			t.Errorf("set %d is % x", i, nal)
		}
	}
	for n := range record {
		if got, err := ParseAVCSets(record[:n]); !errors.Is(err, ErrBadConfig) {
			t.Errorf("%d bytes: %+v, %v", n, got, err)
		}
	}
	if c, err := ParseAVCConfig(AppendAVCConfig(nil, sps[:1], pps[:1])); err == nil && c.Profile != 66 {
		t.Errorf("profile %d", c.Profile)
	}
}

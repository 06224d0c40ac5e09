package webrtc

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"liverelay/relay/flv"
)

// packetsOf makes a publisher's packets of wire forms, numbered from first on.
func packetsOf(first uint16, wires ...wire) (packets []packet) {
	for _, w := range wires {
		for i := range w.packets() {
			last := i == w.packets()-1 && w.kind() == wireVideo
			packets = append(packets, packet{first + uint16(len(packets)), w.timestamp(), last, w.payload(i)})
		}
	}
	return packets
}

func frameOf(key bool, dts uint32, units ...[]byte) wire {
	return encode(videoMessage(key, 0, avcc(units...)), dts)
}

// setsAt are parameter sets in front of a keyframe, with its time.
func setsAt(dts uint32, sps, pps []byte) wire {
	return frameOf(false, dts, sps, pps)
}

// join puts wires of one frame together.
func join(wires ...wire) (packets []packet) {
	packets = packetsOf(1000, wires...)
	for i := range packets[:len(packets)-1] {
		packets[i].marker = false
	}
	return packets
}

// told collects what a depacketizer makes of packets.
func told(d *depacketizer, packets []packet, lost func(int) bool) (frames []frame) {
	for i, p := range packets {
		if lost != nil && lost(i) {
			continue
		}
		d.push(p, lost != nil && i > 0 && lost(i-1), func(f frame) {
			f.units = bytes.Clone(f.units)
			frames = append(frames, f)
		})
	}
	return frames
}

// What was packetised comes out as it was, its parameter sets as a sequence header, once, and again
// when they change.
func TestDepacketize(t *testing.T) {
	sps, pps, other := nal(7, 20), nal(8, 5), nal(7, 24)
	idr, slice := nal(5, 5000), nal(1, 700)
	var packets []packet
	add := func(wires ...wire) {
		more := join(wires...)
		for i := range more {
			more[i].sequence = uint16(len(packets) + i)
		}
		packets = append(packets, more...)
	}
	add(frameOf(false, 0, slice)) // nothing to begin with
	add(setsAt(40, sps, pps), frameOf(true, 40, nal(9, 2), nal(6, 30), idr))
	add(frameOf(false, 80, slice, slice))
	add(setsAt(120, sps, pps), frameOf(true, 120, idr))
	add(setsAt(160, other, pps), frameOf(true, 160, idr))
	frames := told(new(depacketizer), packets, nil)
	want := []struct {
		units  []byte
		config bool
		key    bool
	}{{avcc(nal(6, 30), idr), true, true}, {avcc(slice, slice), false, false}, {avcc(idr), false, true}, {avcc(idr), true, true}}
	if len(frames) != len(want) {
		t.Fatalf("%d frames", len(frames))
	}
	for i, w := range want {
		if f := frames[i]; !bytes.Equal(f.units, w.units) || (f.config != nil) != w.config || f.keyframe != w.key || f.timestamp != uint32(i+1)*3600 {
			t.Errorf("frame %d: %d bytes, config %t, keyframe %t, at %d", i, len(f.units), f.config != nil, f.keyframe, f.timestamp)
		}
	}
	if sets, err := flv.ParseAVCSets(frames[3].config); err != nil || !bytes.Equal(sets.SPS[0], other) || !bytes.Equal(sets.PPS[0], pps) {
		t.Errorf("the second configuration: %+v, %v", sets, err)
	}
}

// A frame of which something is lost, and all that refer to it, are left out, until a keyframe.
func TestDepacketizeLoss(t *testing.T) {
	sps, pps, idr, slice := nal(7, 20), nal(8, 5), nal(5, 3000), nal(1, 3000)
	var packets []packet
	for i := range uint32(12) {
		w := []wire{frameOf(false, 40*i, slice)}
		if i%4 == 0 {
			w = []wire{setsAt(40*i, sps, pps), frameOf(true, 40*i, idr)}
		}
		packets = append(packets, join(w...)...)
	}
	second := 2 + 3 + 1 // of the first inter frame
	frames := told(new(depacketizer), packets, func(i int) bool { return i == second })
	var at []uint32
	for _, f := range frames {
		at = append(at, f.timestamp/3600)
	}
	if !slices.Equal(at, []uint32{0, 4, 5, 6, 7, 8, 9, 10, 11}) {
		t.Errorf("frames %v", at)
	}
}

// STAP-A, as encoders send their parameter sets, and sets that stand in the offer alone.
func TestDepacketizeAggregate(t *testing.T) {
	sps, pps, idr := nal(7, 20), nal(8, 5), nal(5, 100)
	stap := []byte{nalSTAPA}
	for _, n := range [][]byte{sps, pps, idr} {
		stap = append(append(stap, 0, byte(len(n))), n...)
	}
	frames := told(new(depacketizer), []packet{{1, 0, true, stap}}, nil)
	if len(frames) != 1 || frames[0].config == nil || !bytes.Equal(frames[0].units, avcc(idr)) {
		t.Errorf("STAP-A: %+v", frames)
	}
	d := new(depacketizer)
	d.sprop("packetization-mode=1; sprop-parameter-sets=Z0LAHtkA2D3n,aM48gA==;profile-level-id=42c01e")
	frames = told(d, packetsOf(1, frameOf(true, 0, idr)), nil)
	if len(frames) != 1 || frames[0].config == nil {
		t.Errorf("sprop: %+v", frames)
	}
}

// Packets that come in another order, twice, or late come out in order, and what never comes is
// waited for no longer than it may.
func TestReorder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	r := new(reorder)
	now := time.Unix(0, 0)
	var got []uint16
	tell := func(p packet, lost bool) {
		if lost || p.payload[0] != byte(p.sequence) {
			t.Errorf("%d, lost %t, payload % x", p.sequence, lost, p.payload)
		}
		got = append(got, p.sequence)
	}
	first := uint16(65_000) // the numbers wrap
	r.push(packet{sequence: first, payload: []byte{byte(first)}}, now, tell)
	for base := 1; base < 2000; base += 20 {
		for _, i := range rng.Perm(20) {
			s := first + uint16(base+i)
			for range 1 + rng.IntN(2) {
				r.push(packet{sequence: s, payload: []byte{byte(s)}}, now, tell)
			}
		}
		now = now.Add(10 * time.Millisecond)
	}
	for i, s := range got {
		if s != first+uint16(i) {
			t.Fatalf("%d at place %d", s, i)
		}
	}
	if len(got) != 2001 {
		t.Errorf("%d came out", len(got))
	}
}

func TestReorderGivesUp(t *testing.T) {
	r := new(reorder)
	now := time.Unix(0, 0)
	var got []string
	push := func(s uint16) {
		r.push(packet{sequence: s, payload: []byte{1}}, now, func(p packet, lost bool) { got = append(got, fmt.Sprint(p.sequence, lost)) })
	}
	push(1)
	push(3)
	push(4)
	if len(got) != 1 {
		t.Fatalf("%v", got)
	}
	now = now.Add(reorderTime)
	push(5)
	push(2)    // too late
	push(5000) // another stream
	push(5001)
	if want := []string{"1 false", "3 true", "4 false", "5 false", "5000 true", "5001 false"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// The tracks begin by when they came, and are then where the publisher says they are, without a
// leap.
func TestClock(t *testing.T) {
	c := newClock()
	now := time.Unix(100, 0)
	const late = 80 // ms that sound is late on the way
	before, last := uint32(0), uint32(0)
	for i := range 200 {
		at := now.Add(time.Duration(i) * 20 * time.Millisecond)
		v := c.at(lineVideo, 1<<32-9000+uint32(i)*20*videoClock, at)
		a := c.at(lineAudio, 77+uint32(i)*20*audioClock, at.Add(late*time.Millisecond))
		if i > 0 && (a <= before || a-before > 25) {
			t.Fatalf("sound at %d after %d", a, before)
		}
		before, last = a, v
		if i == 50 { // both were captured at one time
			ntpTime := ntp(at)
			c.report(lineVideo, ntpTime, 1<<32-9000+uint32(i)*20*videoClock)
			c.report(lineAudio, ntpTime, 77+uint32(i)*20*audioClock)
		}
	}
	if d := int(before) - int(last); d < -2 || d > 2 {
		t.Errorf("sound is %d ms from the picture", d)
	}
}

// Whatever a publisher sends, frames are of whole NAL units, and no more memory is taken than a
// frame may have.
func FuzzDepacketize(f *testing.F) {
	for _, w := range []wire{frameOf(true, 0, nal(5, 3000)), setsAt(0, nal(7, 20), nal(8, 5))} {
		for i := range w.packets() {
			f.Add(w.payload(i), w.payload(0), uint32(1), true)
		}
	}
	f.Add([]byte{nalSTAPA, 0, 4, 0x67, 1, 2, 3, 0, 9}, []byte{nalFUA, 0x85}, uint32(0), true)
	f.Add([]byte{nalFUA, 0x45, 1}, []byte{nalFUA | 0x60, 0x85, 1}, uint32(0), false)
	f.Fuzz(func(t *testing.T, a, b []byte, step uint32, marker bool) {
		d := new(depacketizer)
		d.push(packet{0, 0, true, []byte{nalSTAPA, 0, 4, 0x67, 1, 2, 3, 0, 2, 0x68, 1, 0, 1, 0x65}}, false, func(frame) {})
		for i, p := range [][]byte{a, b, b, a} {
			d.push(packet{uint16(i + 1), uint32(i) * step, marker, p}, i == 3, func(f frame) {
				n := 0
				eachNAL(f.units, func(nal []byte) { n += 4 + len(nal) })
				if n != len(f.units) || n == 0 {
					t.Fatalf("%d bytes of units in a frame of %d", n, len(f.units))
				}
			})
		}
	})
}

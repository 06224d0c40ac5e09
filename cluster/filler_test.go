package cluster_test

import (
	"bytes"
	"testing"

	"liverelay/cluster"
	"liverelay/relay"
	"liverelay/relay/flv"
	"liverelay/test/wait"
)

// fillerID stands where the frames of casters have theirs.
const fillerID = 0

// withFiller has a node fill its streams, by half a second of picture and sound.
func withFiller(t *testing.T, n *node) {
	t.Helper()
	b := flv.FileHeader(true, true)
	b = flv.AppendTag(b, flv.Video, 0, []byte{0x17, 0, 0, 0, 0, 1, 0x42, 0, 0x1e, 1})
	b = flv.AppendTag(b, flv.Audio, 0, []byte{0xaf, 0, 0x12, 0x10})
	for i := range uint32(25) {
		head := byte(0x27)
		if i == 0 {
			head = 0x17
		}
		b = flv.AppendTag(b, flv.Video, 20*i, []byte{head, 1, 0, 0, 0, 0, 0, 0, byte(i), fillerID})
		b = flv.AppendTag(b, flv.Audio, 20*i, []byte{0xaf, 1, 0, 0, 0, byte(i)})
	}
	filler, err := relay.ReadFiller(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	n.relay.SetConfig(relay.Config{ResumeWindow: wait.Long, PlayWait: wait.Long, Fillers: map[string]*relay.Filler{demo.App: filler}})
}

// now waits until what a viewer, who stays, sees is by that caster.
func (v *viewer) now(id uint8) {
	v.t.Helper()
	wait.For(v.t, v.who+" sees another picture", func() bool {
		by := v.by()
		return len(by) > 0 && by[len(by)-1] == id
	})
	v.sees(20)
}

// Each node shows its own filler, until there is a publisher anywhere, and when it has ended.
func TestFillerOnEachNode(t *testing.T) {
	nodes := startNodes(t, cluster.NewMemory(), "a", "b", "c")
	var viewers []*viewer
	for _, n := range nodes {
		withFiller(t, n)
		viewers = append(viewers, view(t, n))
	}
	all := func(id uint8) {
		t.Helper()
		for _, v := range viewers {
			v.now(id)
		}
	}
	all(fillerID)
	for _, n := range nodes {
		if got := n.Stats().Pulls["ok"]; got != 0 {
			t.Errorf("%s has pulled a filler", n.id)
		}
		if origin, carriers := n.Where(demo); origin != "" || len(carriers) > 0 {
			t.Errorf("%s takes %s for the origin of a filler, %v for copies", n.id, origin, carriers)
		}
	}
	for _, n := range nodes[:2] {
		c := cast(t, n, "u")
		all(c.id)
		c.over(true)
		all(fillerID)
	}
	moved := cast(t, nodes[0], "u")
	all(moved.id)
	moved.over(false) // is waited for
	back := cast(t, nodes[1], "u")
	all(back.id)
	back.over(true)
	all(fillerID)
}

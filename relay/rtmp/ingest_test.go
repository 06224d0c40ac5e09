package rtmp

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/yutopp/go-rtmp/message"

	"liverelay/relay/flv"
)

// TestPublishAgain: closeStream frees the name at once; the same connection may publish again.
func TestPublishAgain(t *testing.T) {
	b := newBench(t)
	p := b.publishing(t, "a?user=1")
	p.begin()
	player := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	p.command("closeStream", nil)
	p.status(codeUnpublish)
	p.media(videoType, 33, keyframe(100_000)) // late, ignored
	if tags := readTags(t, player, 1<<20); len(tags) != 4 {
		t.Errorf("%d tags", len(tags))
	}
	other := b.publishing(t, "a?user=2") // not refused
	other.command("deleteStream", nil, 1)
	other.status(codeUnpublish)
	p.command("createStream", nil)
	p.expect("_result")
	p.command("publish", nil, "b", "live")
	p.status(codePublishStart)
	p.media(audioType, 0, aacHeader)
	for i := range 20 { // audio alone: ready once no video came for a while
		p.media(audioType, uint32(i)*23, aacFrame(10))
	}
	again := dialTest(t, DialPlay, b.url("live/b"), ClientConfig{})
	readTags(t, again, 1) // its header: it has its place
	p.media(audioType, 500, aacFrame(10))
	if tags := readTags(t, again, 1); len(tags) != 1 {
		t.Errorf("%d tags", len(tags))
	}
}

func TestDataMessages(t *testing.T) {
	b := newBench(t)
	p := b.publishing(t, "a")
	p.begin()
	odd := []byte{0x42, 1, 2} // no AMF at all
	undefined := cat(str("onMetaData"), []byte{amfObject}, key("a"), []byte{amfUndefined}, objectEnd)
	p.media(message.TypeIDDataMessageAMF0, 1, cat(str("@setDataFrame"), metadata))
	p.media(message.TypeIDDataMessageAMF0, 2, undefined)
	p.media(message.TypeIDDataMessageAMF3, 3, cat([]byte{0}, metadata))
	p.media(message.TypeIDDataMessageAMF0, 4, str("@clearDataFrame"))
	p.media(message.TypeIDDataMessageAMF0, 5, nil)
	p.media(message.TypeIDDataMessageAMF0, 6, odd)
	p.media(message.TypeIDDataMessageAMF0, 7, cat(str("@setDataFrame"), str("onMetaData"), []byte{amfAVMPlus, 9, 9}))
	p.media(videoType, 10, nil) // zero length
	p.media(audioType, 10, nil)
	p.media(videoType, 11, interframe(5))
	c := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	p.command("deleteStream", nil, 1)
	var data []string
	for _, g := range readTags(t, c, 1<<20) {
		if g.kind == flv.Script {
			data = append(data, string(g.payload))
		}
	}
	for _, want := range [][]byte{metadata, undefined, odd, cat(str("onMetaData"), []byte{amfAVMPlus, 9, 9})} {
		found := false
		for _, got := range data {
			found = found || got == string(want)
		}
		if !found {
			t.Errorf("data %x is missing in %x", want, data)
		}
	}
}

func TestAggregate(t *testing.T) {
	list := []Message{
		{videoType, 1, 5000, keyframe(10)}, {audioType, 1, 5010, aacFrame(5)}, {videoType, 1, 5033, interframe(0)},
		{message.TypeIDDataMessageAMF0, 1, 5034, metadata}, {audioType, 1, 5035, []byte{}},
	}
	collect := func(m Message) (got []Message, err error) {
		err = splitAggregate(m, func(m Message) error { got = append(got, m); return nil })
		return got, err
	}
	for _, at := range []uint32{0, 777, 4294967290} {
		whole := aggregateOf(at, list...)
		got, err := collect(whole)
		if err != nil {
			t.Fatal(err)
		}
		want := append([]Message{}, list...)
		for i := range want {
			want[i].Timestamp = want[i].Timestamp - 5000 + at
		}
		check(t, got, want)
		// Without the last back pointer, and cut anywhere.
		whole.Payload = whole.Payload[:len(whole.Payload)-4]
		if got, err := collect(whole); err != nil || len(got) != len(list) {
			t.Errorf("without the last pointer: %d, %v", len(got), err)
		}
		for n := range whole.Payload {
			cut := whole
			cut.Payload = whole.Payload[:n]
			if _, err := collect(cut); err != nil && !errors.Is(err, errProtocol) {
				t.Fatal(err)
			}
		}
	}
	// Through the server.
	b := newBench(t)
	p := b.publishing(t, "a")
	p.media(videoType, 0, avcHeader)
	p.media(audioType, 0, aacHeader)
	m := aggregateOf(100, list...)
	p.raw(appendChunks(nil, csidData, m.Type, 1, m.Timestamp, m.Payload, defaultChunkSize))
	c := dialTest(t, DialPlay, b.url("live/a"), ClientConfig{})
	p.command("deleteStream", nil, 1)
	got := readTags(t, c, 1<<20)
	var want []tag
	for _, m := range list {
		want = append(want, tag{flv.Kind(m.Type), m.Timestamp, m.Payload})
	}
	compare(t, got[len(got)-len(want):], want)
}

func TestAcknowledgements(t *testing.T) {
	b := newBench(t)
	p := b.publishing(t, "a")
	p.raw(chunkOf(0, 2, 0, 4, message.TypeIDWinAckSize, 0, nil, []byte{0, 1, 0, 0})) // 64 KiB
	sent := uint32(0)
	go func() {
		for i := range 10 {
			p.try(appendChunks(nil, csidVideo, videoType, 1, uint32(i), keyframe(20000), defaultChunkSize))
		}
	}()
	for acks := 0; acks < 3; {
		if m := p.next(); m.Type == message.TypeIDAck {
			n := uint32(m.Payload[0])<<24 | be24(m.Payload[1:])
			if n <= sent {
				t.Errorf("acknowledges %d after %d", n, sent)
			}
			sent = n
			acks++
		}
	}
}

func TestPublishKbps(t *testing.T) {
	b := newBench(t)
	p := b.publishing(t, "a?kbps=50")
	p.media(videoType, 0, keyframe(50000)) // within the burst of 10 s: 62,500 bytes
	go p.try(appendChunks(nil, csidVideo, videoType, 1, 40, keyframe(50000), defaultChunkSize))
	if info := p.status(codePublishDenied); !strings.Contains(fmt.Sprint(info["description"]), "faster") {
		t.Error(info)
	}
	p.closed()
	_ = p.conn.Close()
	b.result(t, "rate", 1)
	contains(t, b.log.String(), "more than 50 kbit/s")
}

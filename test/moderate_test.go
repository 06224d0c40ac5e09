package test

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"liverelay/relay/flv"
	"liverelay/relay/rtmp"
	"liverelay/room/roomtest"
)

// pushing publishes made frames until it cannot; the error is then in the channel.
func pushing(t *testing.T, url string) chan error {
	t.Helper()
	c, err := rtmp.DialPublish(context.Background(), url, rtmp.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	ended := make(chan error, 1)
	go func() {
		for i := 0; ; i++ {
			at := uint32(i * 40)
			if err := c.Write(flv.Audio, at, audioFrame(i)); err != nil {
				ended <- err
				return
			}
			if err := c.Write(flv.Video, at, videoFrame(i%10 == 0, i)); err != nil {
				ended <- err
				return
			}
			time.Sleep(40 * time.Millisecond)
		}
	}()
	return ended
}

func (p *puller) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.tags)
}

// grows waits for more frames.
func (p *puller) grows() {
	p.t.Helper()
	n := p.count()
	awaitFor(p.t, 30*time.Second, "frames", func() bool { return p.count() > n+5 })
}

// cable is a way to a server that can be cut without a word: both ends get a reset.
type cable struct {
	addr string
	mu   sync.Mutex
	ends []*net.TCPConn
}

func layCable(t *testing.T, to string) *cable {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{addr: l.Addr().String()}
	t.Cleanup(func() { l.Close(); c.cut() })
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			c.mu.Lock()
			c.ends = append(c.ends, near.(*net.TCPConn), far.(*net.TCPConn))
			c.mu.Unlock()
			go io.Copy(near, far)
			go io.Copy(far, near)
		}
	}()
	return c
}

func (c *cable) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, end := range c.ends {
		end.SetLinger(0)
		end.Close()
	}
	c.ends = nil
}

// A publisher's connection is lost. Within the resume window its viewers are its own: nobody of
// another room gets them, and the rooms say whose stream it is.
func TestLostPublisherKeepsItsViewers(t *testing.T) {
	n := start(t, "relay: {resume_window: 60s}")
	ann, bob, mallory := joinRoom(t, n, "r1", "ann"), joinRoom(t, n, "r1", "bob"), joinRoom(t, n, "r2", "mallory")
	theirs := mallory.do("publish", roomtest.M{"stream": "s"}).URLs.RTMP[0] // while nobody has it
	address := ann.do("publish", roomtest.M{"stream": "s"}).URLs.RTMP[0]
	way := layCable(t, n.rtmp)
	lost := pushing(t, strings.Replace(address, n.rtmp, way.addr, 1))
	bob.hears("streamUpdate", "s", "ADD")
	viewer := pull(t, bob.do("play", roomtest.M{"stream": "s"}).URLs.FLV[0])
	viewer.grows()
	refusedByRTMP(t, theirs, "publish")

	way.cut()
	<-lost
	n.await("the loss", func() bool { return n.streamState("s") == "offline" })
	refusedByRTMP(t, theirs, "publish")
	if f, err := mallory.Do(mallory.ctx, "publish", roomtest.M{"stream": "s"}); err != nil || f.Error == nil {
		t.Errorf("gets an address for a stream of another room: %v %+v", err, f)
	}
	var data struct {
		StreamList []struct{ StreamId, UserId string }
	}
	n.call("DescribeSimpleStreamList&RoomId=r2", &data)
	if len(data.StreamList) != 0 {
		t.Errorf("the other room has it: %+v", data)
	}
	pushing(t, address)
	viewer.grows()
	select {
	case <-viewer.done:
		t.Errorf("the viewer was ended: %v", viewer.err)
	default:
	}
	n.call("DescribeSimpleStreamList&RoomId=r1", &data)
	if len(data.StreamList) != 1 || data.StreamList[0].UserId != "ann" {
		t.Errorf("r1 has %+v", data)
	}
}

// Who is thrown out sees and sends nothing more, and none of his addresses lets him in again.
func TestThrownOut(t *testing.T) {
	for _, query := range []string{"KickoutUser&RoomId=call&UserId%5B%5D=bob", "CloseRoom&RoomId=call"} {
		t.Run(query[:9], func(t *testing.T) {
			n := start(t, "relay: {resume_window: 60s}")
			ann, bob := join(t, n, "ann"), join(t, n, "bob")
			hers := pushing(t, ann.do("publish", roomtest.M{"stream": "a"}).URLs.RTMP[0])
			var his []string
			for range 10 {
				his = append(his, bob.do("publish", roomtest.M{"stream": "b"}).URLs.RTMP[0])
			}
			way := layCable(t, n.rtmp)
			lost := pushing(t, strings.Replace(his[0], n.rtmp, way.addr, 1))
			ann.hears("streamUpdate", "b", "ADD")
			bob.hears("streamUpdate", "a", "ADD")
			addresses := bob.do("play", roomtest.M{"stream": "a"}).URLs
			players := []*puller{pull(t, addresses.FLV[0]), pull(t, addresses.RTMP[0])}
			of := pull(t, ann.do("play", roomtest.M{"stream": "b"}).URLs.FLV[0])
			var device []string
			n.call("RTMPDispatchV2&Type=pull&StreamId=a&RoomId=call&UserId=bob", &device)
			players = append(players, pull(t, device[0]), of)
			for _, p := range players {
				p.grows()
			}
			way.cut() // in its resume window, too
			<-lost
			n.await("the loss", func() bool { return n.streamState("b") == "offline" })

			n.call(query, nil)
			began := time.Now()
			for i, p := range players {
				select {
				case <-p.done:
				case <-time.After(30 * time.Second):
					t.Errorf("player %d goes on", i)
				}
			}
			t.Logf("all ended after %v", time.Since(began))
			if f := bob.Event(bob.ctx, "kicked", nil); f == nil {
				t.Error("he is not told")
			}
			for _, address := range his {
				refusedByRTMP(t, address, "publish")
			}
			refusedByRTMP(t, addresses.RTMP[0], "play")
			refusedByRTMP(t, device[0], "play")
			if status, _ := get(t, addresses.FLV[0]); status != 403 {
				t.Errorf("plays again: status %d", status)
			}
			if query[0] == 'K' {
				select {
				case err := <-hers:
					t.Errorf("and she was ended: %v", err)
				default:
				}
				bob = join(t, n, "bob") // he is not banned
				pull(t, bob.do("play", roomtest.M{"stream": "a"}).URLs.FLV[0]).grows()
			} else {
				<-hers
			}
		})
	}
}

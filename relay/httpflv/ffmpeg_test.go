package httpflv

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/gobwas/ws"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// ffmpeg's own streams come out of the door as ffprobe wants them: both tracks
// or one, legacy codecs too, no packet lost and no complaint.
func TestFFmpeg(t *testing.T) {
	for _, program := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(program, " is not installed")
		}
	}
	const video, sound = " -f lavfi -i testsrc2=s=320x180:r=25", " -f lavfi -i sine=r=48000"
	const h264, aac = " -c:v libx264 -preset veryfast -g 25 -bf 2", " -c:a aac -ac 2"
	for _, g := range []struct {
		name, args string
		codecs     []string
	}{
		{"H.264 and AAC", video + sound + h264 + aac, []string{"h264 320x180", "aac 2"}},
		{"H.264", video + h264, []string{"h264 320x180"}},
		{"AAC", sound + aac, []string{"aac 2"}},
		{"MP3", sound + " -c:a libmp3lame -ar 44100", []string{"mp3 1"}},
		{"Sorenson", video + " -c:v flv -g 25", []string{"flv1 320x180"}},
	} {
		t.Run(g.name, func(t *testing.T) {
			file, err := exec.Command("ffmpeg", strings.Fields("-v error"+g.args+" -t 3 -f flv -flvflags no_duration_filesize pipe:1")...).Output()
			if err != nil {
				t.Skip("this ffmpeg cannot encode it: ", err)
			}
			d := open(t, relay.Config{PlayWait: patience, Backlog: patience}, nil, nil)
			var out, problems bytes.Buffer
			probe := exec.Command("ffprobe", strings.Fields("-v warning -count_packets -show_entries stream=codec_name,nb_read_packets,width,height,channels -of json "+d.play("s", ""))...)
			probe.Stdout, probe.Stderr = &out, &problems
			if err := probe.Start(); err != nil {
				t.Fatal(err)
			}
			d.waiting(1)
			packets := publishFile(t, d, file)
			if err := probe.Wait(); err != nil {
				t.Fatal(err, problems.String())
			}
			var found struct {
				Streams []struct {
					Codec         string `json:"codec_name"`
					Packets       string `json:"nb_read_packets"`
					Width, Height int
					Channels      int
				}
			}
			if err := json.Unmarshal(out.Bytes(), &found); err != nil {
				t.Fatal(err)
			}
			var codecs []string
			for _, s := range found.Streams {
				kind, form := flv.Audio, fmt.Sprintf("%s %d", s.Codec, s.Channels)
				if s.Width > 0 {
					kind, form = flv.Video, fmt.Sprintf("%s %dx%d", s.Codec, s.Width, s.Height)
				}
				codecs = append(codecs, form)
				if s.Packets != fmt.Sprint(packets[kind]) {
					t.Errorf("%s: %s packets of %d", form, s.Packets, packets[kind])
				}
			}
			slices.Sort(codecs)
			slices.Sort(g.codecs)
			if !slices.Equal(codecs, g.codecs) {
				t.Errorf("%q, want %q", codecs, g.codecs)
			}
			for line := range strings.Lines(problems.String()) {
				// So ffmpeg greets the end of every reply without a length.
				if !strings.Contains(line, "Stream ends prematurely") {
					t.Error(line)
				}
			}
		})
	}
}

// publishFile publishes a file, one frame a tag, and returns how many frames it has of each kind.
func publishFile(t *testing.T, d *testDoor, file []byte) map[flv.Kind]int {
	t.Helper()
	s := mustDial(t, d.play("s", "&publish=1"))
	frames := map[flv.Kind]int{}
	r := flv.NewReader(bytes.NewReader(file), 1<<20)
	audio, video, err := r.ReadHeader()
	if err != nil {
		t.Fatal(err)
	}
	for b := flv.FileHeader(audio, video); err == nil; {
		if err := s.send(ws.NewBinaryFrame(b)); err != nil {
			t.Fatal(err)
		}
		var tag flv.Tag
		if tag, err = r.ReadTag(); err == nil {
			b = flv.AppendTag(nil, tag.Kind, tag.Timestamp, tag.Payload)
			if flv.ParseHeader(tag.Kind, tag.Payload).Packet == flv.CodedFrames {
				frames[tag.Kind]++
			}
		}
	}
	eventually(t, "ffprobe plays", func() bool { return d.http.Stats().Players[ProtocolHTTP] == 1 })
	(&caster{webSocket: s}).end(1000)
	return frames
}

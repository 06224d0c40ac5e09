//go:build !notranscode

package transcode

import (
	"bytes"
	"fmt"
	"math"
	"os/exec"
	"strings"
	"testing"

	"liverelay/relay/flv"
)

// ffmpeg runs it, or skips the test where it is missing.
func ffmpeg(t *testing.T, in []byte, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	cmd := exec.Command("ffmpeg", append([]string{"-v", "error"}, args...)...)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Errorf("ffmpeg %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

// FFmpeg's AAC is read at every rate that FLV may have, mono and stereo, and what is made of it is
// in tune and in time.
func TestAACOfFFmpeg(t *testing.T) {
	for _, rate := range []int{48000, 44100, 32000, 24000, 22050, 16000, 11025} {
		for channels := 1; channels <= 2; channels++ {
			t.Run(fmt.Sprintf("%d Hz, %d", rate, channels), func(t *testing.T) {
				file := ffmpeg(t, nil, "-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=3", "-af", "volume=4",
					"-ar", fmt.Sprint(rate), "-ac", fmt.Sprint(channels), "-c:a", "aac", "-f", "flv", "-")
				r := flv.NewReader(bytes.NewReader(file), 1<<20)
				if _, _, err := r.ReadHeader(); err != nil {
					t.Fatal(err)
				}
				var all []message
				for {
					tag, err := r.ReadTag()
					if err != nil {
						break
					}
					if tag.Kind == flv.Audio {
						all = append(all, message{int64(tag.Timestamp), tag.Payload})
					}
				}
				c, err := New(flv.CodecAAC, nil, flv.CodecOpus)
				if err != nil {
					t.Fatal(err)
				}
				frames := transcoded(t, c, all)
				onTime(t, media(frames), 20, 2800, 20)
				got, n, _ := heard(t, frames)
				if n != channels {
					t.Fatalf("%d channels", n)
				}
				crossings := 0 // of the middle
				half := got[len(got)/4/n*n : len(got)*3/4/n*n]
				for i := n; i < len(half); i += n {
					if half[i-n] < 0 && half[i] >= 0 {
						crossings++
					}
				}
				if hz := float64(crossings) * codedRate * float64(n) / float64(len(half)); math.Abs(hz-440) > 3 {
					t.Errorf("440 Hz became %.1f", hz)
				}
			})
		}
	}
}

// FFmpeg decodes what is made without a word.
func TestFFmpegDecodesAAC(t *testing.T) {
	c, err := New(flv.CodecOpus, nil, flv.CodecAAC)
	if err != nil {
		t.Fatal(err)
	}
	file := flv.FileHeader(true, false)
	for _, f := range transcoded(t, c, published(t, flv.CodecOpus, chords(3*codedRate, codedRate, 2), codedRate, 2, 0)) {
		file = flv.AppendTag(file, flv.Audio, uint32(f.DTS), f.Payload)
	}
	if pcm := ffmpeg(t, file, "-v", "warning", "-f", "flv", "-i", "-", "-f", "s16le", "-"); len(pcm) < 4*codedRate*5/2 {
		t.Errorf("%d bytes are heard", len(pcm))
	}
}

package main

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"time"

	"liverelay/auth"
	"liverelay/relay"
	"liverelay/server"
)

const (
	demoPause = 2 * time.Second // before publishing again
	demoTrial = 5 * time.Second // an ffmpeg that ends sooner cannot do it
)

func demoCommand(ctx context.Context, c *call) error {
	set, file := c.flags("[--builtin]", "Runs the server and publishes a moving test picture with sound, made by ffmpeg when there is one,\n"+
		"else by the program itself, and prints addresses to watch it.")
	builtin := set.Bool("builtin", false, "do not use ffmpeg")
	stream := set.String("stream", "demo", "the `stream` to publish")
	cfg, err := c.load(set, file)
	if err != nil {
		return err
	}
	if !validStream(*stream) {
		return usagef("demo: --stream %.40q is not 1 to 256 letters, digits, '-', '_' or '.'", *stream)
	}
	d := &demo{stream: *stream}
	if !*builtin {
		d.ffmpeg, _ = exec.LookPath("ffmpeg") // "": the generator does it
	}
	return serve(ctx, c, cfg, *file, d.print, d.run)
}

// demo publishes the test picture beside a running server.
type demo struct {
	stream string
	ffmpeg string // its path; "": the built-in generator
}

func (d *demo) print(c *call, s *server.Server) {
	var b strings.Builder
	source := "ffmpeg"
	if d.ffmpeg == "" {
		source = "the built-in generator"
	}
	fmt.Fprintf(&b, "liverelay %s is ready, and %s publishes %s/%s.\n\n", versionText(), source, s.Config().Apps[0].Name, d.stream)
	writePlay(&b, s, d.stream)
	writePages(&b, s)
	writeAdmin(&b, s)
	fmt.Fprint(c.stdout, b.String())
}

// run publishes until ctx ends, again and again: somebody may kick it to see what happens.
func (d *demo) run(ctx context.Context, s *server.Server) {
	for ctx.Err() == nil {
		begin := time.Now()
		address := s.URL("rtmp", d.stream, auth.ActionPublish, bannerTTL)
		var err error
		if d.ffmpeg != "" && address != "" {
			err = d.push(ctx, address)
			if time.Since(begin) < demoTrial && ctx.Err() == nil {
				s.Log().Warn("demo: ffmpeg does not work here, using the built-in generator", "error", err)
				d.ffmpeg = ""
				continue
			}
		} else {
			err = generate(ctx, s.Relay(), relay.Name{App: s.Config().Apps[0].Name, Stream: d.stream})
		}
		if ctx.Err() != nil {
			return
		}
		s.Log().Info("demo: publishing ended, beginning again", "error", err)
		select {
		case <-time.After(demoPause):
		case <-ctx.Done():
		}
	}
}

// push runs ffmpeg until it ends or ctx does. It never outlives us: when this process
// is killed, its connection breaks.
func (d *demo) push(ctx context.Context, address string) error {
	args := append([]string{"-nostdin", "-hide_banner", "-loglevel", "error"}, strings.Fields(testSource)...)
	cmd := exec.CommandContext(ctx, d.ffmpeg, append(args, address)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 2 * time.Second
	output := &head{}
	cmd.Stderr = output
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("ffmpeg: %w: %s", err, output)
	}
	return nil
}

// head keeps the beginning of what is written to it.
type head struct{ text []byte }

const maxHead = 512

// Write never fails; what is too much is forgotten.
func (h *head) Write(p []byte) (int, error) {
	h.text = append(h.text, p[:min(len(p), maxHead-len(h.text))]...)
	return len(p), nil
}

// signedAddress matches the address that ffmpeg names in its errors, also one
// that was cut off: the log must not hold it.
var signedAddress = regexp.MustCompile(`\S*token=\S*`)

// String returns one line without the address.
func (h *head) String() string {
	return signedAddress.ReplaceAllString(strings.Join(strings.Fields(string(h.text)), " "), "(address)")
}

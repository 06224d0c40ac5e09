package main

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"time"

	"liverelay/relay"
	"liverelay/relay/flv"
)

// demoFLV is a loop of 6.4 s: 640x360 H.264 at 25 fps, a keyframe each 1.28 s, and AAC
// at 48 kHz. Both tracks have a whole number of frames in it (160 and 300), so that it
// repeats without a seam. Made with ffmpeg from testsrc2 and a beep.
//
//go:embed demo.flv
var demoFLV []byte

const demoLoop = 6400 * time.Millisecond

// generate publishes the loop until ctx ends or the relay ends the publication.
func generate(ctx context.Context, r *relay.Relay, name relay.Name) error {
	headers, frames, err := readLoop()
	if err != nil {
		return err
	}
	ended := make(chan error, 1)
	publisher, err := r.Publish(name, relay.PublishOptions{
		Grant:    relay.Grant{User: "you"}, // as the printed addresses: whoever pushes to them takes over
		Protocol: "demo",
		OnEnd:    func(err error) { ended <- err },
	})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer publisher.Close(true)
	for _, tag := range headers {
		if err := publisher.Write(tag.Kind, 0, tag.Payload); err != nil {
			return fmt.Errorf("demo: %w", err)
		}
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for begin, loop := time.Now(), time.Duration(0); ; loop += demoLoop {
		for _, tag := range frames {
			at := loop + time.Duration(tag.Timestamp)*time.Millisecond
			timer.Reset(time.Until(begin.Add(at)))
			select {
			case <-timer.C:
			case err := <-ended:
				return fmt.Errorf("demo: %w", err)
			case <-ctx.Done():
				return nil
			}
			if err := publisher.Write(tag.Kind, uint32(at/time.Millisecond), tag.Payload); err != nil {
				return fmt.Errorf("demo: %w", err)
			}
		}
	}
}

// readLoop returns what the loop begins with, metadata and sequence headers, and its frames.
func readLoop() (headers, frames []flv.Tag, err error) {
	reader := flv.NewReader(bytes.NewReader(demoFLV), len(demoFLV))
	if _, _, err := reader.ReadHeader(); err != nil {
		return nil, nil, fmt.Errorf("demo: %w", err)
	}
	for {
		tag, err := reader.ReadTag()
		if errors.Is(err, io.EOF) {
			return headers, frames, nil
		}
		if err != nil {
			return nil, nil, fmt.Errorf("demo: %w", err)
		}
		if tag.Kind == flv.Script || flv.ParseHeader(tag.Kind, tag.Payload).SequenceHeader {
			headers = append(headers, tag)
		} else {
			frames = append(frames, tag)
		}
	}
}

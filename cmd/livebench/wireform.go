package main

import "encoding/binary"

// wireForms are a stream's messages as they go to the server, one of each sort: only timestamp,
// message stream id and stamp change.
type wireForms struct {
	frames            frames
	flv               bool
	key, inter, audio wireForm
}

type wireForm struct {
	b     []byte
	stamp int // where it is
}

func newWireForms(f frames, flv bool) *wireForms {
	w := &wireForms{frames: f, flv: flv}
	w.key, w.inter = w.form(kindVideo, f.key, videoStampAt), w.form(kindVideo, f.inter, videoStampAt)
	w.audio = w.form(kindAudio, f.audio, audioStampAt)
	return w
}

func (w *wireForms) form(kind byte, payload []byte, at int) wireForm {
	if len(payload) == 0 {
		return wireForm{}
	}
	b := w.append(nil, kind, 1, payload)
	if w.flv {
		return wireForm{b, 11 + at}
	}
	return wireForm{b, 12 + at}
}

func (w *wireForms) append(b []byte, kind byte, id uint32, payload []byte) []byte {
	if w.flv {
		return appendTag(b, kind, 0, payload)
	}
	chunk := byte(videoChunkID)
	if kind != kindVideo {
		chunk = audioChunkID
	}
	return appendMessage(b, chunk, kind, id, 0, payload, pushChunk)
}

// headers is what a stream begins with: metadata and the sequence headers.
func (w *wireForms) headers(id uint32) []byte {
	var b []byte
	if w.flv {
		b = append([]byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"), w.append(nil, kindScript, id, w.frames.metadata)...)
	} else {
		var set amfWriter
		set.str("@setDataFrame")
		b = w.append(nil, kindScript, id, append(set.b, w.frames.metadata...))
	}
	if len(w.frames.key) > 0 {
		b = w.append(b, kindVideo, id, w.frames.videoHeader)
	}
	if len(w.frames.audio) > 0 {
		b = w.append(b, kindAudio, id, w.frames.audioHeader)
	}
	return b
}

// set puts timestamp (in milliseconds) and stamp into a form.
func (w *wireForms) set(f *wireForm, timestamp, id uint32, s stamp) []byte {
	at := 1 // RTMP: basic header, then three bytes; livebench ends before they overflow
	if w.flv {
		at = 4
		f.b[7] = byte(timestamp >> 24)
	} else {
		binary.LittleEndian.PutUint32(f.b[8:], id)
	}
	f.b[at], f.b[at+1], f.b[at+2] = byte(timestamp>>16), byte(timestamp>>8), byte(timestamp)
	s.put(f.b[f.stamp:])
	return f.b
}

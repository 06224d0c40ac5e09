package admin

import "time"

// Stream is one stream as operators see it. It holds no token and no secret.
type Stream struct {
	App       string         `json:"app" example:"live"`
	Stream    string         `json:"stream" example:"demo"`
	State     string         `json:"state" enum:"live,idle,waiting" doc:"live: media arrives; idle: the publisher is there and silent; waiting: it is lost and may come back"`
	Publisher *Publisher     `json:"publisher,omitempty" doc:"The present one, or while the stream waits the last"`
	Video     *Video         `json:"video,omitempty"`
	Audio     *Audio         `json:"audio,omitempty"`
	Kbps      int            `json:"kbps" doc:"What arrives, kbit/s"`
	Viewers   int            `json:"viewers"`
	Protocols map[string]int `json:"protocols,omitempty" doc:"Viewers by protocol"`
	BytesIn   uint64         `json:"bytes_in" doc:"Media from its publishers"`
	BytesOut  uint64         `json:"bytes_out" doc:"Media to its players"`
}

func (s Stream) name() string { return s.App + "/" + s.Stream }

// Publisher is who sends the stream.
type Publisher struct {
	User     string    `json:"user,omitempty" doc:"From the signed URL"`
	Room     string    `json:"room,omitempty" doc:"From the signed URL"`
	Protocol string    `json:"protocol" example:"rtmp"`
	Remote   string    `json:"remote,omitempty" example:"192.0.2.1:50000"`
	Since    time.Time `json:"since" doc:"When this connection began to publish"`
	Epoch    uint64    `json:"epoch" doc:"Counts the publishers that the stream has had"`
}

// Video is the picture, as its headers and the last seconds tell it; of several tracks the main one.
type Video struct {
	Codec  string  `json:"codec" example:"avc1"`
	Width  int     `json:"width,omitempty"`
	Height int     `json:"height,omitempty"`
	FPS    float64 `json:"fps" doc:"Frames per second, measured over the last seconds"`
	Kbps   int     `json:"kbps" doc:"kbit/s of all video tracks, measured over the last seconds"`
}

// Audio is the sound.
type Audio struct {
	Codec string `json:"codec" example:"mp4a"`
	Kbps  int    `json:"kbps" doc:"kbit/s of all audio tracks, measured over the last seconds"`
}

// Counters are totals since the start, of ended streams and connections too.
type Counters struct {
	Drops    map[string]uint64 // messages not delivered, by reason
	Kept     int64             // bytes that streams hold for newcomers
	Cuts     uint64            // how often a stream's were cut for want of memory
	Refusals map[string]uint64 // publish and play refused, by reason
	Open     int               // connections now, of all doors
	Rooms    int               // in use on this node
	Members  int               // sessions of rooms on this node
	Signal   int               // signalling connections now
	Callback map[string]uint64 // calls of the app's backend, by result
	Doors    []Door
}

// Door is the totals of one door.
type Door struct {
	Name     string
	Results  map[string]uint64 // connections or requests, by how they went
	BytesIn  uint64
	BytesOut uint64
}

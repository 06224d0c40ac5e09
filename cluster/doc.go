// Package cluster makes the media of several nodes one service: a stream is played on any node,
// wherever it is published.
//
// The node that has a stream's publisher is its origin. Another one whose players want the stream
// is an edge: it pulls the stream once (edge.go) and publishes it to its own relay as a copy. Every
// node tells every other over a link of its own what it has (link.go): who is origin of what, since
// which epoch, and who carries a copy. What they told is the table (table.go), which stays as it is
// while a link is down.
//
// The [Directory], in Redis, is the phone book: by it nodes find each other, and it numbers the
// epochs of streams. Nothing that runs needs it. A stream's epoch is higher than any that the
// directory, a link or the clock has shown (origin.go), and the higher one is right: an origin that
// hears of it gives up its publisher.
//
// Nodes speak HTTP to each other, on a listener that is not for the public; each request is signed
// (sign.go).
package cluster

// Package room is the rooms of a service: members, streams and messages, each room a
// sequence of changes, and the sessions of this node's members. It knows no HTTP and no
// WebSocket: a client's connection is a [Link] (package signal, with the contract in
// PROTOCOL.md), an app's backend (package backend) and operators call [Service]. What can
// be done to a room is named once: operation.go, join.go, publish.go, message.go.
//
// An operation becomes a change: the room's goroutine evaluates what has gathered
// against its copy of the room, commits all of it to the [Store] in one step
// (compare the position, write the fields, append the records), applies it, and
// only then tells members and whoever asked. Every node keeps such a copy of the rooms
// its sessions are in; the [Bus] tells it of other nodes' commits. One node with
// the memory store takes the same way.
//
// What a node owns (its sessions, the media on it) is its own truth: after any
// trouble with the store it reads the room again and asserts what it owns.
//
// Lock order: Service.mu, then Room.mu, then Session.mu, then the Link's. Under each
// of them things are only looked up or queued.
//
// It has more than 20 files: one goroutine owns the whole of a [Room], so its state
// and what may be done to it cannot be parted by packages. A file is one such part.
package room

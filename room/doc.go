// Package room is the signalling side of a call: rooms with members, streams and
// messages, each room a sequence of changes, and the sessions that follow it over
// one WebSocket. PROTOCOL.md beside this file is the contract with clients.
//
// A request becomes a change: the room's goroutine evaluates what has gathered
// against its copy of the room, commits all of it to the [Store] in one step
// (compare the position, write the fields, append the records), applies it, and
// only then replies and tells members. Every node keeps such a copy of the rooms
// its sessions are in; the [Bus] tells it of other nodes' commits. One node with
// the memory store takes the same way.
//
// What a node owns (its sessions, the media on it) is its own truth: after any
// trouble with the store it reads the room again and asserts what it owns.
//
// Lock order: Service.mu, then Room.mu, then Session.mu, then Conn.mu. Under each
// of them things are only looked up or queued.
package room

// Package cluster keeps what the nodes of one service share: rooms and their
// notices ([room.Store], [room.Bus]), and bans ([auth.Store]), twice: in memory for
// one node, and in Redis for many. One conformance suite holds both to the same
// behaviour.
package cluster

// Package redis keeps what the nodes of one service share in Redis: rooms
// ([room.Store]), their notices ([room.Bus]) and bans ([auth.Store]). It is the only
// importer of go-redis. The twins in memory, for one node, stand beside those
// interfaces; the tests here hold both to the same behaviour.
package redis

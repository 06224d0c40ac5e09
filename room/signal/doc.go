// Package signal is how clients are in rooms: one WebSocket each, over which they ask
// and are told. PROTOCOL.md beside this file is the contract with them. What a request
// means is done by [room.Service] and [room.Session]; here it is read, checked for its
// form, and answered. It is the only importer of coder/websocket.
package signal

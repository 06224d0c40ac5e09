package socket

import "net"

// maxLayers of connections above a socket are looked through.
const maxLayers = 4

// Below returns the connection below conn's layers that tell theirs (NetConn, as TLS does), and
// whether there is any: conn itself where there is none.
func Below(conn net.Conn) (under net.Conn, layered bool) {
	for range maxLayers {
		above, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn, layered = above.NetConn(), true
	}
	return conn, layered
}

// of returns the [Conn] that conn is or embeds; nil: it does not.
func of(conn net.Conn) *Conn {
	if socket, ok := conn.(interface{ Socket() *Conn }); ok {
		return socket.Socket()
	}
	return nil
}

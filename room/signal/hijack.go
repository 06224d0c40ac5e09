package signal

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
)

const connBuffer = 1 << 10 // of each direction; most frames are smaller

// hijack hands a connection over with small buffers: those of the HTTP server are
// 4 KiB each, and a session waits most of its time.
type hijack struct {
	http.ResponseWriter
	conn net.Conn // once it is handed over
}

// Hijack implements [http.Hijacker].
func (w *hijack) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, brw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	rest, err := brw.Reader.Peek(brw.Reader.Buffered())
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	var src io.Reader = conn
	if len(rest) > 0 { // the client did not wait for the handshake
		src = io.MultiReader(bytes.NewReader(bytes.Clone(rest)), conn)
	}
	r := bufio.NewReaderSize(src, max(connBuffer, len(rest)))
	if len(rest) > 0 {
		if _, err := r.Peek(len(rest)); err != nil {
			_ = conn.Close()
			return nil, nil, err
		}
	}
	w.conn = conn
	boundBacklog(conn)
	return conn, bufio.NewReadWriter(r, bufio.NewWriterSize(conn, connBuffer)), nil
}

// backlog is what the kernel may hold for a member, in bytes. By default it hides megabytes
// of a client that does not read, and so from the limits that its room has for it.
const backlog = 64 << 10

// boundBacklog sets it on the socket below conn, which may be TLS: asked here as in socket.Below,
// for rooms import nothing of media.
func boundBacklog(conn net.Conn) {
	if secure, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = secure.NetConn()
	}
	if socket, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = socket.SetWriteBuffer(backlog)
	}
}

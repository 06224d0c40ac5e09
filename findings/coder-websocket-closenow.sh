#!/bin/sh
# github.com/coder/websocket v1.8.15 (Go): CloseNow does not end a Close that is under way.
#
# Close(code, reason) writes a close frame and waits for the peer's, up to 5 s. One would expect that CloseNow, called
# meanwhile from another goroutine ("closes the connection without attempting a close handshake"), ends that wait.
# It does not: both return only when the 5 s are over. A server that stops has to close the net.Conn below, or
# to bound the handshake by itself.
#
# Seen: "Close returned after 5.0 s, CloseNow (called at 0.2 s) after 4.8 s". Fails if they return within 2 s.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
cat >main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/coder/websocket"
)

func main() {
	accepted := make(chan *websocket.Conn)
	hold := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			panic(err)
		}
		accepted <- c
		<-hold
	}))
	// The peer: a valid upgrade, and then it is quiet, as one is whose network is gone.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var below net.Conn
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, addr)
		below = c
		return c, err
	}}}
	go websocket.Dial(ctx, server.URL, &websocket.DialOptions{HTTPClient: client})
	c := <-accepted

	begin := time.Now()
	closed, now := make(chan time.Duration), make(chan time.Duration)
	go func() { c.Close(websocket.StatusNormalClosure, "bye"); closed <- time.Since(begin) }()
	time.Sleep(200 * time.Millisecond)
	go func() { at := time.Now(); c.CloseNow(); now <- time.Since(at) }()
	var a, b time.Duration
	for range 2 {
		select {
		case a = <-closed:
		case b = <-now:
		}
	}
	below.Close()
	close(hold)
	fmt.Printf("Close returned after %.1f s, CloseNow (called at 0.2 s) after %.1f s\n", a.Seconds(), b.Seconds())
	if a < 2*time.Second {
		fmt.Println("changed: CloseNow ends the handshake's wait")
		os.Exit(1)
	}
}
GO
cat >go.mod <<'MOD'
module finding

go 1.24
MOD
go get github.com/coder/websocket@v1.8.15 >/dev/null 2>&1
go run .

package auth_test

import (
	"fmt"
	"time"

	"liverelay/auth"
)

const secret = "0123456789abcdefghijklmnopqrstuv" // from config.yaml; in earnest from your own vault

// A backend makes the token with which its user logs in.
func ExampleGenerateToken04() {
	payload := auth.Payload("room1", true, []string{"alice-camera"})
	token, err := auth.GenerateToken04(1, "alice", secret, time.Hour, payload)
	if err != nil {
		fmt.Println(err)
		return
	}
	app := auth.App{Name: "live", ID: 1, Secrets: []string{secret}}
	t, err := auth.VerifyToken04(token, app, auth.Want{User: "alice", Room: "room1"}, time.Now())
	fmt.Println(t.User, t.Room, err, t.MayPublish("alice-camera"), t.MayPublish("bob-camera"))
	// Output: alice room1 <nil> <nil> access refused
}

// A backend hands out media URLs by itself.
func ExampleSite_URL() {
	site := auth.Site{RTMP: "rtmp://live.example.com:1935", HTTP: "https://live.example.com"}
	g := auth.NewGrant("live", "alice-camera", auth.ActionPlay, 24*time.Hour)
	g.User = "bob"
	url, err := site.URL("flv", g, secret)
	fmt.Println(url[:len("https://live.example.com/live/alice-camera.flv?token=")], err)
	// Output: https://live.example.com/live/alice-camera.flv?token= <nil>
}

// The peer learns nothing, the log everything.
func ExampleReasonOf() {
	app := auth.App{Name: "live", ID: 1, Secrets: []string{secret}}
	token, _ := auth.SignGrant(auth.NewGrant("live", "a", auth.ActionPlay, time.Hour), secret)
	_, err := auth.VerifyGrant(token, app, auth.ActionPublish, "a", time.Now())
	fmt.Println(err)
	fmt.Println(auth.ReasonOf(err))
	// Output:
	// access refused
	// action
}

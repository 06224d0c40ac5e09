package auth

import (
	"net/url"
	"syscall"
	"testing"
	"time"
)

// cpuPerOp reports processor time too: on a busy machine ns/op counts the others' work.
func cpuPerOp(b *testing.B) func() {
	used := func() int64 {
		var r syscall.Rusage
		syscall.Getrusage(syscall.RUSAGE_SELF, &r)
		return r.Utime.Nano() + r.Stime.Nano()
	}
	start := used()
	return func() { b.ReportMetric(float64(used()-start)/float64(b.N), "cpu-ns/op") }
}

func BenchmarkVerifyGrant(b *testing.B) {
	token := grant(b, ActionPlay, nil)
	b.ReportAllocs()
	defer cpuPerOp(b)()
	for b.Loop() {
		if _, err := VerifyGrant(token, live, ActionPlay, "s1", attackNow); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAuthorize(b *testing.B) {
	a, store := attackAuthorizer(b)
	for i := range 10_000 {
		store.Ban(b.Context(), Entry{Key: Key{KindGrant, "live", "x" + time.Duration(i).String()}, Until: attackNow.Add(time.Hour)})
	}
	r := Request{App: "live", Stream: "s1", Action: ActionPlay, Query: url.Values{"token": {grant(b, ActionPlay, nil)}}, Remote: victim}
	b.ReportAllocs()
	defer cpuPerOp(b)()
	for b.Loop() {
		if _, err := a.Authorize(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignGrant(b *testing.B) {
	g := Grant{App: "live", Stream: "s1", Action: ActionPlay, User: "u1", Expires: attackNow}
	b.ReportAllocs()
	defer cpuPerOp(b)()
	for b.Loop() {
		if _, err := SignGrant(g, secretA); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyToken04(b *testing.B) {
	text := plain04(map[string]any{"payload": Payload("r1", true, []string{"a", "b"})})
	for name, token := range map[string]string{"gcm": gcm04(secretA, text), "cbc": cbc04(secretA, text)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			defer cpuPerOp(b)()
			for b.Loop() {
				if _, err := VerifyToken04(token, live, Want{"u1", "r1"}, attackNow); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGenerateToken04(b *testing.B) {
	b.ReportAllocs()
	defer cpuPerOp(b)()
	for b.Loop() {
		if _, err := GenerateToken04(1, "u1", secretA, time.Hour, ""); err != nil {
			b.Fatal(err)
		}
	}
}

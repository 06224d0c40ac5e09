package main

import (
	"net/http"
	"strings"
	"testing"

	"liverelay/redis/redistest"
	"liverelay/server/servertest"
	"liverelay/test/wait"
)

// TestReadyOnceRedisWasRead: a load balancer sends nobody to a node that would refuse
// everybody, and goes on sending while Redis is away from one that works.
func TestReadyOnceRedisWasRead(t *testing.T) {
	redis := redistest.Start(t)
	redis.Down()
	oneApp(t)
	t.Setenv("LIVERELAY_REDIS_ADDRS", redis.Addr)
	r := startServer(t)
	t.Setenv("LIVERELAY_ADMIN_LISTEN", r.address("admin.listen"))
	is := func(code int, begin string) {
		t.Helper()
		wait.For(t, begin, func() bool {
			resp, body := servertest.Get(t, "http://"+r.address("admin.listen")+"/readyz", "")
			return resp.StatusCode == code && strings.HasPrefix(body, begin) && strings.Count(body, "\n") == 1
		})
	}
	is(http.StatusServiceUnavailable, "redis: ")
	if code, _, stderr := runOnce(t, "check", "--health"); code != exitFailure || !strings.Contains(stderr, "not ready: redis: ") {
		t.Errorf("check --health: %d %s", code, stderr)
	}
	if code, stdout, stderr := runOnce(t, "check"); code != exitFailure || !strings.Contains(stdout, "wrong redis: ") || !strings.Contains(stderr, redis.Addr) {
		t.Errorf("check: %d %s %s", code, stdout, stderr)
	}
	if err := redis.Up(); err != nil {
		t.Fatal(err)
	}
	is(http.StatusOK, "ready")
	if code, stdout, stderr := runOnce(t, "check"); code != 0 || !strings.Contains(stdout, "ok    redis: one server") {
		t.Errorf("check: %d %s %s", code, stdout, stderr)
	}
	redis.Down()
	is(http.StatusOK, "degraded: redis: ")
	if code, stdout, stderr := runOnce(t, "check", "--health"); code != 0 || stdout != "ready\n" {
		t.Errorf("check --health: %d %s", code, stderr)
	}
}

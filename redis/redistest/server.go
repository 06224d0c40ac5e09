// Package redistest starts real redis-servers for tests.
package redistest

import (
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"liverelay/test/proc"
	"liverelay/test/wait"
)

// Server is a redis-server on a port of the loopback. It keeps nothing on disk
// unless asked to.
type Server struct {
	Port int
	Addr string
	dir  string
	conf string // of a sentinel
	args []string
	env  []string // nil: ours
	cmd  *exec.Cmd
	exit chan struct{}
}

// Start starts one, or skips the test where there is no redis-server. It ends with
// the test. args are further options of redis-server.
func Start(t testing.TB, args ...string) *Server { return StartAhead(t, 0, args...) }

// StartAhead starts one whose clock is ahead of the machine's; 0: it is the machine's. It skips the
// test where another clock is wanted and no C compiler is there to make one.
func StartAhead(t testing.TB, ahead time.Duration, args ...string) *Server {
	t.Helper()
	var env []string
	if ahead != 0 {
		env = append(os.Environ(), "LD_PRELOAD="+skew(t), fmt.Sprintf("SKEW=%d", int(ahead.Seconds())))
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed (Debian: apt-get install redis-server): the Redis half of this test is not run")
	}
	s := &Server{dir: t.TempDir(), args: args, env: env}
	for range 5 { // another process may take the port between the two steps
		s.Port = FreePort(t)
		s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port))
		if err := s.Up(); err == nil {
			t.Cleanup(s.Down)
			return s
		}
	}
	t.Fatal("redis-server does not start")
	return nil
}

//go:embed skew/skew.c
var skewC []byte

// skew makes the library that gives a program another clock.
func skew(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	source, library := filepath.Join(dir, "skew.c"), filepath.Join(dir, "skew.so")
	if err := os.WriteFile(source, skewC, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cc", "-shared", "-fPIC", "-O2", "-o", library, source).CombinedOutput(); err != nil {
		t.Skipf("no C compiler: a server with another clock is not tried: %v %s", err, out)
	}
	return library
}

// StartSentinel starts a sentinel with these lines of configuration.
func StartSentinel(t testing.TB, conf string) *Server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed (Debian: apt-get install redis-server): the Sentinel half of this test is not run")
	}
	dir := t.TempDir()
	s := &Server{dir: dir, conf: filepath.Join(dir, "sentinel.conf")} // it will change the file
	if err := os.WriteFile(s.conf, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Port = FreePort(t)
	s.Addr = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.Port))
	if err := s.Up(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Down)
	return s
}

// FreePort returns a port of the loopback that nobody listens on, nor a connection may be given: a
// server may come back to it.
func FreePort(t testing.TB) int {
	_, port, _ := net.SplitHostPort(proc.FreeAddr(t))
	n, _ := strconv.Atoi(port)
	return n
}

// Up starts the server (again) and waits until it answers.
func (s *Server) Up() error {
	args := append([]string{
		"--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.dir, "--save", "", "--appendonly", "no",
		"--daemonize", "no", "--loglevel", "warning",
	}, s.args...)
	if s.conf != "" {
		args = []string{s.conf, "--sentinel", "--port", strconv.Itoa(s.Port), "--bind", "127.0.0.1", "--dir", s.dir, "--loglevel", "warning"}
	}
	s.cmd = exec.Command("redis-server", args...)
	s.cmd.Env = s.env
	s.cmd.Stderr = os.Stderr
	if err := s.cmd.Start(); err != nil {
		return err
	}
	s.exit = make(chan struct{})
	go func(cmd *exec.Cmd, exit chan struct{}) {
		_ = cmd.Wait()
		close(exit)
	}(s.cmd, s.exit)
	for end := time.Now().Add(wait.Long); time.Now().Before(end); {
		select {
		case <-s.exit:
			return errors.New("redis-server ended at once")
		default:
		}
		if s.ping() {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Down()
	return errors.New("redis-server does not answer")
}

func (s *Server) ping() bool {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	fmt.Fprint(conn, "PING\r\n")
	b := make([]byte, 5)
	_, err = conn.Read(b)
	return err == nil && (string(b) == "+PONG" || string(b) == "-NOAU") // it wants a password
}

// Pause stops the server in the middle of whatever it does; Resume lets it go on.
func (s *Server) Pause() error { return s.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume undoes Pause.
func (s *Server) Resume() error { return s.cmd.Process.Signal(syscall.SIGCONT) }

// Down kills the server; what it had is lost.
func (s *Server) Down() {
	if s.cmd != nil && s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		<-s.exit
		s.cmd = nil
	}
}

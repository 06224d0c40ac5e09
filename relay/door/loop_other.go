//go:build !linux

package door

type loops struct{}

// RunInLoop returns what f returns. Only on Linux there is a loop.
func (c *Conn) RunInLoop(f func() error) error { return f() }

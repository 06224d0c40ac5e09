package cluster

import (
	"context"
	"sync"
	"time"

	"liverelay/relay"
)

// Memory is a [Directory] in this process.
type Memory struct {
	mu     sync.Mutex
	nodes  map[string]record
	claims map[relay.Name]claimed
}

type record struct {
	Info
	until time.Time
}

type claimed struct {
	Claim
	asked uint64 // the epoch that was asked for
	until time.Time
}

var _ Directory = (*Memory)(nil)

// NewMemory returns an empty directory.
func NewMemory() *Memory {
	return &Memory{nodes: map[string]record{}, claims: map[relay.Name]claimed{}}
}

// Register implements [Directory].
func (m *Memory) Register(_ context.Context, n Info, ttl time.Duration) ([]Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	if old, ok := m.nodes[n.ID]; ok && now.Before(old.until) && old.Boot != n.Boot && old.Address != n.Address {
		return nil, ErrSameID
	}
	m.nodes[n.ID] = record{n, now.Add(ttl)}
	return m.nodesLocked(now), nil
}

// Nodes implements [Directory].
func (m *Memory) Nodes(context.Context) ([]Info, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nodesLocked(time.Now()), nil
}

func (m *Memory) nodesLocked(now time.Time) (all []Info) {
	for id, r := range m.nodes {
		if now.After(r.until) {
			delete(m.nodes, id)
			continue
		}
		all = append(all, r.Info)
	}
	return all
}

// Leave implements [Directory].
func (m *Memory) Leave(_ context.Context, n Info) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.nodes[n.ID].Boot == n.Boot {
		delete(m.nodes, n.ID)
	}
	return nil
}

// Claim implements [Directory].
func (m *Memory) Claim(_ context.Context, c Claim, ttl time.Duration) (Claim, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	asked := c.Epoch
	switch old, ok := m.lookupLocked(c.Name); {
	case !ok || old.Epoch < c.Epoch:
	case old.Node == c.Node && (old.asked == asked || old.Epoch == asked):
		c.Epoch, asked = old.Epoch, old.asked
	default:
		c.Epoch = old.Epoch + 1
	}
	m.claims[c.Name] = claimed{c, asked, time.Now().Add(ttl)}
	return c, nil
}

// Renew implements [Directory].
func (m *Memory) Renew(_ context.Context, held []Claim, ttl time.Duration) ([]Claim, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	stand := make([]Claim, len(held))
	for i, c := range held {
		old, ok := m.lookupLocked(c.Name)
		if ok && (old.Epoch > c.Epoch || old.Epoch == c.Epoch && old.Node != c.Node) {
			stand[i] = old.Claim
			continue
		}
		asked := c.Epoch
		if ok && old.Epoch == c.Epoch {
			asked = old.asked
		}
		m.claims[c.Name], stand[i] = claimed{c, asked, time.Now().Add(ttl)}, c
	}
	return stand, nil
}

// Release implements [Directory].
func (m *Memory) Release(_ context.Context, c Claim) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if old, ok := m.claims[c.Name]; ok && old.Node == c.Node && old.Epoch == c.Epoch {
		delete(m.claims, c.Name)
	}
	return nil
}

// Lookup implements [Directory].
func (m *Memory) Lookup(_ context.Context, name relay.Name) (Claim, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c, ok := m.lookupLocked(name)
	return c.Claim, ok, nil
}

func (m *Memory) lookupLocked(name relay.Name) (claimed, bool) {
	c, ok := m.claims[name]
	if ok && time.Now().After(c.until) {
		delete(m.claims, name)
		return claimed{}, false
	}
	return c, ok
}

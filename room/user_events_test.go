package room

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"
)

// roster is what a client that asked for user events makes of them: id -> name.
type roster map[string]string

func (r roster) apply(update string, users ...User) {
	for _, u := range users {
		if update == "ADD" {
			r[u.ID] = u.Name
		} else {
			delete(r, u.ID)
		}
	}
}

// churn makes n random user events that may really follow each other.
func churn(rnd *rand.Rand, now roster, users, n int) []userItem {
	var items []userItem
	seq := int64(100)
	for range n {
		seq += 1 + rnd.Int64N(3) // other changes in between
		id := fmt.Sprint("u", rnd.IntN(users))
		it := userItem{user: User{id, id}, update: "ADD", seq: seq}
		if name, here := now[id]; here && rnd.IntN(3) == 0 {
			it.was, it.user.Name = name, fmt.Sprintf("%s, the %dth", id, seq)
		} else if here {
			it.update, it.user.Name = "DELETE", name
		}
		now.apply(it.update, it.user)
		items = append(items, it)
	}
	return items
}

// TestMergedEvents: whatever comes and goes in between, merged events make the same
// of a client's roster as the single ones, tell of nobody twice, and leave nothing
// out for a client that has only some of them.
func TestMergedEvents(t *testing.T) {
	for seed := range uint64(3000) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		users, n := 1+rnd.IntN(12), 1+rnd.IntN(40)
		if seed%500 == 0 {
			users, n = 3000, 4000 // more than one event of each kind
		}
		before := roster{}
		churn(rnd, before, users, n/2)
		after := maps.Clone(before)
		items := churn(rnd, after, users, n)
		last := items[len(items)-1].seq
		events := mergedEvents("r", netItems(items), last)
		if users <= largeRoom && len(events) > 2 {
			t.Errorf("seed %d: %d events", seed, len(events))
		}
		have := maps.Clone(before)
		seen := map[string]bool{}
		for i, e := range events {
			if e.Seq < items[0].seq || i > 0 && e.Seq <= events[i-1].Seq || i == len(events)-1 && e.Seq != last {
				t.Errorf("seed %d: event %d of %d has seq %d", seed, i, len(events), e.Seq)
			}
			for _, u := range e.Users {
				if name, here := have[u.ID]; seen[u.ID] || e.Update == "ADD" && name == u.Name || e.Update == "DELETE" && !here {
					t.Fatalf("seed %d: told in vain: %s %v", seed, e.Update, u)
				}
				seen[u.ID] = true
			}
			have.apply(e.Update, e.Users...)
			resumed := maps.Clone(have)
			for _, it := range items {
				if it.seq > e.Seq {
					resumed.apply(it.update, it.user)
				}
			}
			if !maps.Equal(resumed, after) {
				t.Errorf("seed %d: a client that returns after event %d has %v, want %v", seed, i, resumed, after)
			}
		}
		if !maps.Equal(have, after) {
			t.Errorf("seed %d: %v, want %v\n%v", seed, have, after, items)
		}
		if t.Failed() {
			return
		}
	}
}

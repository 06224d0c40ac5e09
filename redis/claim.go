package redis

import (
	"context"
	_ "embed"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"liverelay/room"
)

//go:embed lua/claim.lua
var claimLua string

var claimScript = goredis.NewScript(claimLua)

func (r *Client) claimKey(c room.Claim) []string {
	return []string{"{" + r.prefix + ":" + c.App + "/" + c.Stream + "}:claim"}
}

// Claim implements [room.Store], with one round trip per server.
func (r *Client) Claim(ctx context.Context, claims []room.Claim, ttl time.Duration) ([]string, error) {
	rooms := make([]string, len(claims))
	for _, load := range [...]bool{false, true} {
		cmds := make([]*goredis.Cmd, len(claims))
		_, err := r.conn(ctx).Pipelined(ctx, func(pipe goredis.Pipeliner) error {
			for i, c := range claims {
				if load {
					cmds[i] = claimScript.Eval(ctx, pipe, r.claimKey(c), c.Room, ttl.Milliseconds())
				} else {
					cmds[i] = claimScript.EvalSha(ctx, pipe, r.claimKey(c), c.Room, ttl.Milliseconds())
				}
			}
			return nil
		})
		if err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") && !load {
			continue // a server has forgotten its scripts: send them along
		}
		if err != nil {
			return nil, fmt.Errorf("claim streams: %w", err)
		}
		for i, cmd := range cmds {
			if rooms[i], err = cmd.Text(); err != nil {
				return nil, fmt.Errorf("claim streams: %w", err)
			}
		}
		break
	}
	return rooms, nil
}

// Unclaim implements [room.Store].
func (r *Client) Unclaim(ctx context.Context, c room.Claim) error {
	return claimScript.Run(ctx, r.conn(ctx), r.claimKey(c), c.Room, -1).Err()
}

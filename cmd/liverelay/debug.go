package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"liverelay/config"
	"liverelay/support"
)

// bundleTimeout is for a node to make a bundle, beside the time in which it listens in to a
// connection.
const bundleTimeout = 30 * time.Second

func debugCommand(ctx context.Context, c *call) error {
	if len(c.args) > 0 && !strings.HasPrefix(c.args[0], "-") {
		if c.args[0] != "bundle" {
			return usagef("debug: unknown %.40q: see liverelay debug -h", c.args[0])
		}
		c.args = c.args[1:]
	}
	c.name = "debug bundle"
	set, file := c.flags("[--output FILE] [--connection ID [--seconds N]]",
		"Has a running server make one file for whoever looks for a fault: its configuration, counters, streams, players, rooms,\n"+
			"goroutines, the runtime's last seconds and the end of the log, without credentials. It asks admin.listen with admin.token, or the\n"+
			"first of admin.tokens that may; docs/operations.md says how to read it.")
	base := set.String("url", "", "the `address` of another admin listener, http://HOST:PORT")
	token := set.String("token", "", "the `token` to show there; better "+config.EnvPrefix+"ADMIN_TOKEN in the environment, which nobody sees in a list of processes")
	output := set.String("output", "", "the `file` to write; without it: liverelay-TIME.zip")
	connection := set.String("connection", "", "also what this connection carries: the `id` of a player, APP/STREAM for its publisher, APP/ROOM/USER for a member's signalling")
	seconds := set.Int("seconds", 5, "for so many `seconds`, 30 at most")
	cfg, err := c.load(set, file)
	if err != nil {
		return err
	}
	if *base == "" {
		if cfg.Admin.Listen == "" {
			return usagef("debug bundle: admin.listen is empty: nothing to ask")
		}
		*base = "http://" + config.Reach("", cfg.Admin.Listen)
	}
	if *token = cmp.Or(*token, adminToken(&cfg)); *token == "" {
		return usagef("debug bundle: no token: set %sADMIN_TOKEN, or admin.token in the configuration", config.EnvPrefix)
	}
	wish := map[string]any{}
	if *connection != "" {
		wish["connection"], wish["seconds"] = *connection, *seconds
	}
	ctx, cancel := context.WithTimeout(ctx, bundleTimeout+time.Duration(*seconds)*time.Second)
	defer cancel()
	bundle, err := askBundle(ctx, strings.TrimSuffix(*base, "/"), *token, wish)
	if err != nil {
		return fmt.Errorf("debug bundle: %w", err)
	}
	name := cmp.Or(*output, "liverelay-"+time.Now().Format("20060102-150405")+".zip")
	if err := os.WriteFile(name, bundle, 0o600); err != nil {
		return fmt.Errorf("debug bundle: %w", err)
	}
	_, err = fmt.Fprintf(c.stdout, "%s: %d bytes\n", name, len(bundle))
	return err
}

// adminToken is one of the configuration's that may do everything; "": there is none.
func adminToken(cfg *config.Config) string {
	if cfg.Admin.Token != "" {
		return cfg.Admin.Token
	}
	for _, t := range cfg.Admin.Tokens {
		if t.Role == "admin" && len(t.Apps) == 0 {
			return t.Token
		}
	}
	return ""
}

// askBundle has the server at base make a bundle.
func askBundle(ctx context.Context, base, token string, wish any) ([]byte, error) {
	body, err := json.Marshal(wish)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/api/v1/bundle", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Content-Type", "application/json")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	reply, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer reply.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(reply.Body, support.MaxBundle+1))
	if err != nil {
		return nil, err
	}
	if reply.StatusCode != http.StatusOK {
		var problem struct{ Detail string }
		_ = json.Unmarshal(answer, &problem) // or it is no server of ours
		return nil, fmt.Errorf("%s: %.200s", reply.Status, problem.Detail)
	}
	return answer, nil
}

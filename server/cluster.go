package server

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"liverelay/admin"
	"liverelay/cluster"
	"liverelay/config"
	"liverelay/redis"
	"liverelay/relay"
	"liverelay/relay/door"
)

// newNode makes this server a node of a cluster, if it is to be one.
func (s *Server) newNode() {
	cfg := s.Config()
	if cfg.Cluster.Listen == "" {
		return
	}
	s.node = cluster.New(cluster.Config{
		Info:      cluster.Info{ID: cfg.Node.ID, Zone: cfg.Cluster.Zone, Version: s.version},
		Secrets:   cfg.Cluster.Secret,
		Linger:    cfg.Cluster.Linger,
		Directory: s.redis.Directory(),
		Log:       s.log,
		ServeCopy: func(w http.ResponseWriter, r *http.Request, n relay.Name) { s.serveCopy(w, r, n) },
		Answer:    s.answer,
	})
}

// startNode lets the others know where the node is, now that the ports are known.
func (s *Server) startNode() {
	if s.node != nil {
		site := s.Config().Site()
		s.node.Start(s.relay, s.Config().ClusterAddress(), site.HTTP, site.RTMP)
	}
}

// nodeParts are the node and its listener.
func (s *Server) nodeParts() []part {
	if s.node == nil {
		return nil
	}
	peers := door.NewServer(s.node.Handler(), door.ServerOptions{Log: s.log})
	return []part{
		{name: "node", layer: layerNode, close: s.node.Close},
		{name: "node listener", layer: layerHTTP, close: peers.Close, section: "cluster", serve: peers.Serve, protocols: []string{"http/1.1"}, inside: true},
	}
}

// errElsewhere is why a publisher ended whose stream has a later one at another node.
var errElsewhere = errors.New("its publisher is at another node now")

// clustered tells the node of the publishers here, and nobody else of the other nodes' players.
func (s *Server) clustered(h relay.Hooks) relay.Hooks {
	if s.node == nil {
		return h
	}
	player := func(hook func(relay.PlayerEvent)) func(relay.PlayerEvent) {
		return func(e relay.PlayerEvent) {
			if e.Protocol != cluster.Protocol {
				hook(e)
			}
		}
	}
	published, unpublished := h.Published, h.Unpublished
	idle, alert := h.Idle, h.Alert
	h.Published = func(e relay.StreamEvent) {
		s.node.Published(e)
		if !e.Grant.Carried { // else another node tells of it
			published(e)
		}
	}
	h.Unpublished = func(e relay.StreamEvent) {
		if s.node.Moved(e.Name, e.Epoch) {
			e.Err = errElsewhere
		}
		s.node.Unpublished(e)
		if !e.Grant.Carried {
			unpublished(e)
		}
	}
	h.Idle = func(e relay.StreamEvent, yes bool) {
		if !e.Grant.Carried {
			idle(e, yes)
		}
	}
	h.Alert = func(e relay.StreamEvent, a relay.Alert, begins bool) {
		if !e.Grant.Carried {
			alert(e, a, begins)
		}
	}
	h.PlayerStarted, h.PlayerEnded = player(h.PlayerStarted), player(h.PlayerEnded)
	return h
}

// refuses says that nothing new may come: the node drains, and there is no other to be played from
// and moved to.
func (s *Server) refuses() bool {
	if !s.draining.Load() {
		return false
	}
	if s.node == nil {
		return true
	}
	_, ok := s.node.Elsewhere()
	return !ok
}

// elsewhere sends players by HTTP to another node while this one drains. One that does not
// follow, or asks for a WebSocket, is served.
func (s *Server) elsewhere(route door.Route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.node != nil && s.draining.Load() && route.Plays(r) {
			if other, ok := s.node.Elsewhere(); ok && other.HTTP != "" {
				app, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
				s.keeper.Origins(app).SetCORS(w.Header(), r)
				w.Header().Set("Cache-Control", "no-store")
				http.Redirect(w, r, other.HTTP+r.URL.RequestURI(), http.StatusTemporaryRedirect)
				return
			}
		}
		route.Handler.ServeHTTP(w, r)
	})
}

// answer answers another node's question from what this one has.
func (s *Server) answer(ctx context.Context, question []byte) ([]byte, error) {
	var q admin.Query
	if err := json.Unmarshal(question, &q); err != nil {
		return nil, err
	}
	answer, err := s.admin.Answer(ctx, q)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

// peers are the other nodes, for the operators' API.
type peers struct{ node *cluster.Node }

// Ask implements [admin.Peers].
func (p peers) Ask(ctx context.Context, q admin.Query) (answers []admin.Answer, missing []string) {
	question, err := json.Marshal(q)
	if err != nil {
		return nil, nil
	}
	all, missing := p.node.Ask(ctx, question)
	for node, body := range all {
		answers = append(answers, admin.Answer{Node: node, Body: body})
	}
	return answers, missing
}

// measureNode reports the way to the other nodes, for metrics.
func (s *Server) measureNode(add func(name, help string, value float64, labels ...string)) {
	if s.node == nil {
		return
	}
	stats := s.node.Stats()
	add("cluster_nodes", "Other nodes, by whether their link is up.", float64(stats.Peers), "link", "up")
	add("cluster_nodes", "Other nodes, by whether their link is up.", float64(stats.Missing), "link", "down")
	add("cluster_copies", "Streams of other nodes that players here want.", float64(stats.Copies))
	for result, n := range stats.Pulls {
		add("cluster_pulls_total", "Pulls from other nodes, by result.", float64(n), "result", result)
	}
	for reason, n := range stats.Refused {
		add("cluster_refusals_total", "What other nodes asked or said and was refused, by reason.", float64(n), "reason", reason)
	}
	add("cluster_moved_total", "Publishers given up because they are at another node.", float64(stats.Moved))
}

// reachTime is for one node to be reached.
const reachTime = 3 * time.Second

// checkNodes says which nodes this one would reach.
func checkNodes(ctx context.Context, cfg *config.Config, report Report) {
	if cfg.Cluster.Listen == "" || len(cfg.Redis.Addrs) == 0 {
		return
	}
	client, err := redis.New(cfg.RedisOptions())
	if err != nil {
		return // checkStore says so
	}
	defer func() { _ = client.Close() }()
	self := cluster.Info{ID: "check", Boot: "check", Address: cfg.ClusterAddress()}
	node := cluster.New(cluster.Config{Info: self, Secrets: cfg.Cluster.Secret, Directory: client.Directory()})
	asked, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	nodes, err := client.Directory().Nodes(asked)
	if err != nil {
		report("note", "cluster: the nodes are not known: %v", err)
		return
	}
	for _, n := range nodes {
		reach, cancel := context.WithTimeout(ctx, reachTime)
		_, err := node.Reach(reach, n.Address)
		cancel()
		if err != nil {
			report("note", "cluster: node %s at %s is not reached: %v", n.ID, n.Address, err)
			continue
		}
		report("ok", "cluster: node %s at %s is reached (version %s, %s)", n.ID, n.Address, n.Version, n.State)
	}
	if len(nodes) == 0 {
		report("ok", "cluster: no node is there yet")
	}
}

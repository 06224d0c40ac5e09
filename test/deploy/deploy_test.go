// Package deploy tests what is in deploy/: that the nodes which it describes would start, and that
// ports, times and names fit each other. haproxy.cfg and nginx.conf run for real, in package test.
package deploy

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"liverelay/config"
)

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// secrets are what the files leave to whoever installs them.
var secrets = map[string]string{
	"APP_SECRET": "0123456789abcdef0123456789abcdef", "CLUSTER_SECRET": "0123456789abcdef", "ADMIN_TOKEN": "an-admin-token",
}

var variable = regexp.MustCompile(`\$\{(\w+)(?::([-?])([^}]*))?\}`)

// filled puts values in the place of a compose file's variables.
func filled(text string) string {
	return variable.ReplaceAllStringFunc(text, func(v string) string {
		m := variable.FindStringSubmatch(v)
		if value := secrets[m[1]]; value != "" || m[2] != "-" {
			return value
		}
		return m[3]
	})
}

// load is the configuration that a node would have with these variables of the environment.
func load(t *testing.T, env map[string]string) config.Config {
	t.Helper()
	for name, value := range env {
		if !strings.HasPrefix(name, config.EnvPrefix) {
			t.Errorf("%s is no variable of liverelay", name)
		}
		t.Setenv(name, value)
	}
	cfg, err := config.Load("")
	if err != nil {
		t.Fatalf("a node would not start: %v", err)
	}
	if len(cfg.Apps) == 0 || cfg.Cluster.Listen == "" || len(cfg.Redis.Addrs) == 0 || cfg.Admin.Token == "" {
		t.Errorf("not a node of a cluster: %d apps, cluster.listen %q, redis.addrs %v", len(cfg.Apps), cfg.Cluster.Listen, cfg.Redis.Addrs)
	}
	return cfg
}

func port(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(text)
	return n
}

// ports are those that clients, operators and other nodes come to.
func ports(t *testing.T, cfg config.Config) (public []int, admin, node int) {
	return []int{port(t, cfg.RTMP.Listen), port(t, cfg.HTTP.Listen)}, port(t, cfg.Admin.Listen), port(t, cfg.Cluster.Listen)
}

func TestCompose(t *testing.T) {
	type service struct {
		Environment map[string]string
		Networks    []string
		Ports       []string
		Volumes     []string
		StopGrace   string   `yaml:"stop_grace_period"`
		DependsOn   []string `yaml:"depends_on"`
	}
	var file struct {
		Services map[string]service
		Networks map[string]struct {
			IPAM struct{ Config []struct{ Subnet string } }
		}
	}
	if err := yaml.Unmarshal([]byte(filled(string(read(t, "compose.yaml")))), &file); err != nil {
		t.Fatal(err)
	}
	front := string(read(t, "haproxy.cfg"))
	ids := map[string]string{}
	for name, s := range file.Services {
		if s.Environment == nil {
			continue
		}
		t.Run(name, func(t *testing.T) {
			cfg := load(t, s.Environment)
			if other := ids[cfg.Node.ID]; other != "" {
				t.Errorf("has the id of %s, %s", other, cfg.Node.ID)
			}
			ids[cfg.Node.ID] = name
			public, admin, node := ports(t, cfg)
			if host, _, _ := net.SplitHostPort(cfg.Cluster.Advertise); host != name || port(t, cfg.Cluster.Advertise) != node {
				t.Errorf("cluster.advertise is %s, cluster.listen %s", cfg.Cluster.Advertise, cfg.Cluster.Listen)
			}
			if grace, err := time.ParseDuration(s.StopGrace); err != nil || grace <= cfg.Node.DrainTimeout {
				t.Errorf("is killed after %s, drains for %v", s.StopGrace, cfg.Node.DrainTimeout)
			}
			for _, p := range public {
				if !strings.Contains(front, name+":"+strconv.Itoa(p)) {
					t.Errorf("haproxy.cfg does not know %s:%d", name, p)
				}
			}
			if !strings.Contains(front, "check port "+strconv.Itoa(admin)) {
				t.Errorf("haproxy.cfg checks another port than %d", admin)
			}
			if host, _, _ := net.SplitHostPort(cfg.Redis.Addrs[0]); file.Services[host].Networks == nil || !slices.Contains(s.DependsOn, host) {
				t.Errorf("there is no Redis at %s", cfg.Redis.Addrs[0])
			}
			if subnet := file.Networks["inside"].IPAM.Config[0].Subnet; !slices.Equal(cfg.Proxy.Trusted, []string{subnet}) {
				t.Errorf("trusts %v, HAProxy is in %s", cfg.Proxy.Trusted, subnet)
			}
		})
	}
	if len(ids) != 3 {
		t.Errorf("%d nodes, want 3", len(ids))
	}
	if haproxy := file.Services["haproxy"]; len(haproxy.Volumes) != 1 || !strings.HasPrefix(haproxy.Volumes[0], "./haproxy.cfg:") ||
		!slices.Equal(haproxy.Ports, []string{"1935:1935", "8080:8080"}) {
		t.Errorf("haproxy: %+v", haproxy)
	}
}

// probe is a check of Kubernetes.
type probe struct {
	HTTP struct {
		Path string
		Port int
	} `yaml:"httpGet"`
}

// manifest is what is looked at of any kind of object.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Spec     struct {
		ServiceName string         `yaml:"serviceName"`
		ClusterIP   string         `yaml:"clusterIP"`
		Selector    map[string]any `yaml:"selector"`
		Ports       []struct{ Port int }
		Template    struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Grace      int `yaml:"terminationGracePeriodSeconds"`
				Containers []struct {
					Ports []struct {
						Port int `yaml:"containerPort"`
					}
					Env []struct {
						Name, Value string
						From        struct {
							Secret struct{ Name, Key string } `yaml:"secretKeyRef"`
							Field  struct {
								Path string `yaml:"fieldPath"`
							} `yaml:"fieldRef"`
						} `yaml:"valueFrom"`
					}
					Ready probe `yaml:"readinessProbe"`
					Live  probe `yaml:"livenessProbe"`
				}
			}
		}
	}
}

func TestKubernetes(t *testing.T) {
	byName := map[string]manifest{}
	var set manifest
	for decoder := yaml.NewDecoder(bytes.NewReader(read(t, "kubernetes.yaml"))); ; {
		var m manifest
		if err := decoder.Decode(&m); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if m.Kind == "StatefulSet" {
			set = m
			continue
		}
		byName[m.Metadata.Name] = m
	}
	pod := set.Spec.Template.Spec
	if len(pod.Containers) != 1 {
		t.Fatalf("%d containers", len(pod.Containers))
	}
	c := pod.Containers[0]
	kept := map[string]string{
		"cluster": secrets["CLUSTER_SECRET"], "admin": secrets["ADMIN_TOKEN"],
		"apps": `[{"name": "live", "id": 1, "secret": "` + secrets["APP_SECRET"] + `"}]`,
	}
	env := map[string]string{}
	for _, e := range c.Env {
		switch {
		case e.From.Secret.Name != "":
			env[e.Name] = kept[e.From.Secret.Key]
		case e.From.Field.Path == "metadata.name":
			env[e.Name] = set.Metadata.Name + "-0"
		default:
			env[e.Name] = regexp.MustCompile(`\$\((\w+)\)`).ReplaceAllStringFunc(e.Value, func(v string) string { return env[v[2:len(v)-1]] })
		}
	}
	cfg := load(t, env)
	public, admin, node := ports(t, cfg)
	for _, p := range append(public, admin, node) {
		if !slices.ContainsFunc(c.Ports, func(o struct {
			Port int `yaml:"containerPort"`
		}) bool {
			return o.Port == p
		}) {
			t.Errorf("port %d is not the container's", p)
		}
	}
	inside := byName[set.Spec.ServiceName]
	if inside.Spec.ClusterIP != "None" || inside.Spec.Ports[0].Port != node ||
		cfg.Cluster.Advertise != set.Metadata.Name+"-0."+inside.Metadata.Name+":"+strconv.Itoa(node) {
		t.Errorf("nodes reach each other by %+v, say %s", inside.Spec, cfg.Cluster.Advertise)
	}
	if outside := byName["liverelay"].Spec.Ports; len(outside) != 2 || outside[0].Port != public[0] || outside[1].Port != public[1] {
		t.Errorf("clients come to %v", outside)
	}
	for _, s := range byName {
		if s.Spec.Selector["app"] != set.Spec.Template.Metadata.Labels["app"] {
			t.Errorf("%s selects %v", s.Metadata.Name, s.Spec.Selector)
		}
	}
	if grace := time.Duration(pod.Grace) * time.Second; grace <= cfg.Node.DrainTimeout {
		t.Errorf("is killed after %v, drains for %v", grace, cfg.Node.DrainTimeout)
	}
	if c.Ready.HTTP.Path != "/readyz" || c.Live.HTTP.Path != "/healthz" || c.Ready.HTTP.Port != admin || c.Live.HTTP.Port != admin {
		t.Errorf("probes: %+v, %+v", c.Ready, c.Live)
	}
}

func TestSystemd(t *testing.T) {
	unit := string(read(t, "liverelay.service"))
	stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(\d+)$`).FindStringSubmatch(unit)
	if stop == nil {
		t.Fatal("no TimeoutStopSec")
	}
	if seconds, _ := strconv.Atoi(stop[1]); time.Duration(seconds)*time.Second <= config.Default().Node.DrainTimeout {
		t.Errorf("is killed after %d s, drains for %v", seconds, config.Default().Node.DrainTimeout)
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("systemd-analyze is not installed (Debian: apt-get install systemd): the unit is not verified")
	}
	file := filepath.Join(t.TempDir(), "liverelay.service")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(unit, "/usr/local/bin/liverelay", "/bin/true")), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "liverelay.service") {
		t.Errorf("%v\n%s", err, out)
	}
}

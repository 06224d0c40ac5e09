package config

import (
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestChanges(t *testing.T) {
	running, loaded := Default(), Default()
	if live, restart := running.Changes(&loaded); len(live)+len(restart) != 0 {
		t.Errorf("%v, %v of nothing", live, restart)
	}
	app := DefaultApp()
	app.Name, app.ID, app.Secret = "live", 1, Secret{secretA}
	loaded.Apps, loaded.Proxy.Trusted = []App{app}, []string{}
	loaded.Log.Level, loaded.Log.Format = "warn", "json"
	loaded.Limits.PerIP, loaded.RTMP.Listen = 7, ":1"
	live, restart := running.Changes(&loaded)
	if !slices.Equal(live, []string{"apps", "limits.per_ip", "log.level"}) || !slices.Equal(restart, []string{"log.format", "rtmp.listen"}) {
		t.Errorf("live %v, restart %v", live, restart)
	}
	running.Take(&loaded, live)
	if running.Apps[0].Name != "live" || running.Limits.PerIP != 7 || running.Log.Level != "warn" || running.Log.Format != "text" || running.RTMP.Listen != ":1935" {
		t.Errorf("%+v", running)
	}
	if live, again := running.Changes(&loaded); len(live) != 0 || !slices.Equal(again, restart) {
		t.Errorf("then live %v, restart %v", live, again)
	}
}

// The operations page names every key that takes effect at once, and no other.
func TestWhatIsLiveIsDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(page), "\nAt once: ")
	list, _, ok := strings.Cut(list, "Every other key")
	if !ok {
		t.Fatal("the page has no list")
	}
	live := map[string]bool{}
	collectLive(reflect.TypeFor[Config](), "", live)
	c := Default()
	for key := range c.leaves() {
		section, _, _ := strings.Cut(key, ".")
		named := strings.Contains(list, "`"+key+"`") || strings.Contains(list, "`"+section+".*`")
		if strings.Contains(list, "but `"+key+"`") {
			named = false
		}
		if named != live[key] {
			t.Errorf("%s: live %t, named %t", key, live[key], named)
		}
	}
}

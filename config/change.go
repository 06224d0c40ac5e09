package config

import (
	"reflect"
)

// Changes compares with another configuration, key by key: live are the keys with another value
// that a running server takes up, restart those that need a new process.
func (c *Config) Changes(to *Config) (live, restart []string) {
	old, new := c.leaves(), to.leaves()
	canChange := map[string]bool{}
	collectLive(reflect.TypeFor[Config](), "", canChange)
	for _, key := range sortedKeys(old) {
		if same(old[key], new[key]) {
			continue
		}
		if canChange[key] {
			live = append(live, key)
		} else {
			restart = append(restart, key)
		}
	}
	return live, restart
}

// Take copies some keys from another configuration.
func (c *Config) Take(from *Config, keys []string) {
	own, other := c.leaves(), from.leaves()
	for _, key := range keys {
		own[key].Set(other[key])
	}
}

func (c *Config) leaves() map[string]reflect.Value {
	leaves := map[string]reflect.Value{}
	collect(reflect.ValueOf(c).Elem(), "", leaves)
	return leaves
}

// same takes an empty list for none.
func same(a, b reflect.Value) bool {
	if a.Kind() == reflect.Slice && a.Len() == 0 && b.Len() == 0 {
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// collectLive finds the keys that may change while a server runs: the tag live says so.
func collectLive(t reflect.Type, prefix string, into map[string]bool) {
	for field := range t.Fields() {
		key := prefix + field.Tag.Get("key")
		switch {
		case field.Type.Kind() == reflect.Struct:
			collectLive(field.Type, key+".", into)
		case field.Tag.Get("live") == "yes":
			into[key] = true
		}
	}
}

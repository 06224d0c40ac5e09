package config

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
)

// hidden stands in the place of a secret.
const hidden = "(secret)"

// Shown is the whole configuration as YAML, one line a key, for people who look for a fault:
// without secrets (fields tagged secret), of addresses the host alone. What is not the default is
// marked.
func (c *Config) Shown() string {
	usual := Default()
	own, other := c.leaves(), usual.leaves()
	secret := map[string]string{}
	collectSecret(reflect.TypeFor[Config](), "", secret)
	var b strings.Builder
	for _, key := range sortedKeys(own) {
		mark := ""
		if !same(own[key], other[key]) {
			mark = "  # not the default"
		}
		fmt.Fprintf(&b, "%s: %s%s\n", key, shown(own[key], secret[key]), mark)
	}
	return b.String()
}

// shown is a value as text; how: what its field's tag secret says.
func shown(v reflect.Value, how string) string {
	switch {
	case how == "yes":
		if v.IsZero() || v.Kind() == reflect.Slice && v.Len() == 0 {
			return `""`
		}
		if v.Kind() == reflect.Slice && v.Len() > 1 {
			return fmt.Sprintf("%d of %s", v.Len(), hidden)
		}
		return hidden
	case how == "address" && v.String() != "":
		u, err := url.Parse(v.String())
		if err != nil || u.Host == "" {
			return hidden
		}
		return u.Scheme + "://" + u.Host + "/…"
	case v.Kind() == reflect.String:
		return fmt.Sprintf("%q", v.String())
	case v.Kind() == reflect.Struct:
		var parts []string
		t := v.Type()
		for i := range v.NumField() {
			f := t.Field(i)
			parts = append(parts, f.Tag.Get("key")+": "+shown(v.Field(i), f.Tag.Get("secret")))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case v.Kind() == reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = shown(v.Index(i), "")
		}
		return "[" + strings.Join(parts, ", ") + "]"
	}
	return fmt.Sprint(v.Interface())
}

// collectSecret finds what the fields' tags secret say, of those that are keys themselves.
func collectSecret(t reflect.Type, prefix string, into map[string]string) {
	for field := range t.Fields() {
		key := prefix + field.Tag.Get("key")
		if field.Type.Kind() == reflect.Struct {
			collectSecret(field.Type, key+".", into)
			continue
		}
		into[key] = field.Tag.Get("secret")
	}
}

// Secrets are all that the configuration holds, for covering them where they should not be: of
// addresses the password, and what their queries say.
func (c *Config) Secrets() []string { return secretsOf(reflect.ValueOf(c).Elem(), "") }

func secretsOf(v reflect.Value, how string) (all []string) {
	switch {
	case v.Kind() == reflect.Struct:
		t := v.Type()
		for i := range v.NumField() {
			all = append(all, secretsOf(v.Field(i), t.Field(i).Tag.Get("secret"))...)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			all = append(all, secretsOf(v.Index(i), how)...)
		}
	case v.Kind() == reflect.String && how == "yes":
		all = append(all, v.String())
	case v.Kind() == reflect.String && how == "address":
		u, err := url.Parse(v.String())
		if err != nil {
			return []string{v.String()}
		}
		if password, ok := u.User.Password(); ok {
			all = append(all, password)
		}
		for _, values := range u.Query() {
			all = append(all, values...)
		}
	}
	return all
}

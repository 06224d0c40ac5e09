package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/viper"
)

const EnvPrefix = "LIVERELAY_"

// EnvFile names the configuration file where --config does not.
const EnvFile = EnvPrefix + "CONFIG"

// File returns the configuration file that a --config of this value means; "": none.
func File(flag string) string {
	if flag != "" {
		return flag
	}
	return os.Getenv(EnvFile)
}

// KeyError is a wrong key or value: one line that names the key and says where
// it came from. It never holds a secret.
type KeyError struct {
	Key     string // rtmp.listen, apps[0].secret
	Source  string // the file, or the environment variable
	Problem string
}

// Error is the line.
func (e *KeyError) Error() string {
	if e.Source == "" {
		return e.Key + ": " + e.Problem
	}
	return fmt.Sprintf("%s: %s (from %s)", e.Key, e.Problem, e.Source)
}

func badKey(key, format string, args ...any) *KeyError {
	return &KeyError{Key: key, Problem: fmt.Sprintf(format, args...)}
}

// Load reads the YAML file at path, if one is named, and the
// environment over it, and checks everything. Any error is a single line.
func Load(path string) (Config, error) {
	path = File(path)
	cfg := Default()
	tree := &fileTree{}
	v := viper.NewWithOptions(viper.WithDecoderRegistry(tree))
	if path != "" {
		v.SetConfigFile(path)
		v.SetConfigType("yaml")
		if err := v.ReadInConfig(); err != nil {
			return Config{}, fileError(path, err)
		}
	}
	leaves := map[string]reflect.Value{}
	collect(reflect.ValueOf(&cfg).Elem(), "", leaves)
	if err := checkKeys(v, tree, leaves); err != nil {
		err.Source = path
		return Config{}, err
	}
	if err := checkEnv(leaves); err != nil {
		return Config{}, err
	}

	source := map[string]string{}
	v.AllowEmptyEnv(true)
	for _, key := range sortedKeys(leaves) {
		name := envName(key)
		_ = v.BindEnv(key, name) // fails only without a key
		raw := v.Get(key)
		if raw == nil {
			continue
		}
		source[key] = path
		text, fromEnv := os.LookupEnv(name)
		if fromEnv {
			source[key] = name
		}
		if fromEnv && leaves[key].Kind() == reflect.Slice && strings.TrimSpace(text) == "" {
			// What a compose file makes of a variable that is not set.
			if v.InConfig(key) && !isEmpty(tree.at(key)) {
				err := badKey(key, "is empty, and the file has some: remove the variable, or write [] for none")
				err.Source = name
				return Config{}, err
			}
			continue
		}
		if err := decode(key, leaves[key], raw, fromEnv); err != nil {
			err.Source = source[key]
			return Config{}, err
		}
	}
	if err := cfg.check(); err != nil {
		root, _, _ := strings.Cut(err.Key, "[")
		err.Source = source[root]
		return Config{}, err
	}
	return cfg, nil
}

// fileTree keeps what the file says, as it was read: viper forgets sections without keys.
type fileTree struct {
	decoder viper.Decoder
	root    map[string]any
}

// Decoder implements [viper.DecoderRegistry].
func (f *fileTree) Decoder(format string) (viper.Decoder, error) {
	var err error
	f.decoder, err = viper.NewCodecRegistry().Decoder(format)
	return f, err
}

// Decode implements [viper.Decoder].
func (f *fileTree) Decode(b []byte, into map[string]any) error {
	f.root = into // viper will make its keys lower case
	return f.decoder.Decode(b, into)
}

// at returns what stands at a key, or nil.
func (f *fileTree) at(key string) any {
	var v any = f.root
	for part := range strings.SplitSeq(key, ".") {
		section, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = section[part]
	}
	return v
}

// empty returns the keys below prefix that hold an empty section.
func empty(section map[string]any, prefix string) (keys []string) {
	for name, v := range section {
		inner, ok := v.(map[string]any)
		switch {
		case ok && len(inner) == 0:
			keys = append(keys, prefix+name)
		case ok:
			keys = append(keys, empty(inner, prefix+name+".")...)
		}
	}
	return keys
}

// isEmpty says whether a value of the file is nothing, or a list of nothing.
func isEmpty(v any) bool {
	list, ok := v.([]any)
	return v == nil || v == "" || ok && len(list) == 0
}

// fileError makes one line of whatever reading or parsing the file gave.
func fileError(path string, err error) error {
	if pathErr := (*fs.PathError)(nil); errors.As(err, &pathErr) {
		return fmt.Errorf("config file %s: %w", path, pathErr.Err)
	}
	text := strings.TrimPrefix(err.Error(), "While parsing config: ")
	return fmt.Errorf("config file %s: %s", path, strings.Join(strings.Fields(text), " "))
}

// envName returns the environment variable of a key.
func envName(key string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// collect finds every settable key below v: sections are followed, lists are leaves.
func collect(v reflect.Value, prefix string, into map[string]reflect.Value) {
	for i := range v.NumField() {
		key := prefix + v.Type().Field(i).Tag.Get("key")
		if field := v.Field(i); field.Kind() == reflect.Struct {
			collect(field, key+".", into)
		} else {
			into[key] = field
		}
	}
}

// checkKeys refuses keys of the file that mean nothing: most are typing errors.
func checkKeys(v *viper.Viper, tree *fileTree, leaves map[string]reflect.Value) *KeyError {
	keys := append(v.AllKeys(), empty(tree.root, "")...)
	slices.Sort(keys)
	for _, key := range keys {
		if _, ok := leaves[key]; ok {
			continue
		}
		if isSection(key, leaves) {
			if value := tree.at(key); value == nil || reflect.DeepEqual(value, map[string]any{}) {
				continue // "rtmp:" with everything below commented out
			}
			return badKey(key, "is a section: write its keys below it")
		}
		return unknownKey(key, append(sortedKeys(leaves), sections(leaves)...))
	}
	return nil
}

func sections(leaves map[string]reflect.Value) (list []string) {
	for leaf := range leaves {
		section, _, _ := strings.Cut(leaf, ".")
		list = append(list, section)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func isSection(key string, leaves map[string]reflect.Value) bool {
	for leaf := range leaves {
		if strings.HasPrefix(leaf, key+".") {
			return true
		}
	}
	return false
}

// foreignEnv is what Kubernetes and Docker links put into the environment for a service
// called liverelay, or liverelay-something: the name's end, and what the value looks like.
var foreignEnv = []struct{ name, value *regexp.Regexp }{
	{regexp.MustCompile(`_SERVICE_HOST$`), foreignAddr},
	{regexp.MustCompile(`_SERVICE_PORT(_\w+)?$`), foreignPort},
	{regexp.MustCompile(`_PORT(_\d+_(TCP|UDP|SCTP))?$`), regexp.MustCompile(`^(tcp|udp|sctp)://`)},
	{regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)_PROTO$`), regexp.MustCompile(`^(tcp|udp|sctp)$`)},
	{regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)_PORT$`), foreignPort},
	{regexp.MustCompile(`_PORT_\d+_(TCP|UDP|SCTP)_ADDR$`), foreignAddr},
	{regexp.MustCompile(`_NAME$`), regexp.MustCompile(`^/\S+/\S+$`)}, // of a linked container
}

var (
	foreignAddr = regexp.MustCompile(`^([0-9.]+|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*)$`)
	foreignPort = regexp.MustCompile(`^[0-9]+$`)
)

func isForeign(name, value string) bool {
	for _, f := range foreignEnv {
		if f.name.MatchString(name) && f.value.MatchString(value) {
			return true
		}
	}
	return false
}

// checkEnv refuses LIVERELAY_ variables that mean nothing, also in lower case.
func checkEnv(leaves map[string]reflect.Value) error {
	known := map[string]bool{EnvFile: true}
	for key := range leaves {
		known[envName(key)] = true
	}
	var unknown []string
	for _, entry := range os.Environ() {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(strings.ToUpper(name), EnvPrefix) && !known[name] && !isForeign(name, value) {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	slices.Sort(unknown)
	name := unknown[0]
	if strings.HasPrefix(name, envName("apps")+"_") {
		return badKey(name, "unknown key: all apps are in %s, as JSON or YAML", envName("apps"))
	}
	err := unknownKey(strings.ToUpper(name), sortedKeys(known))
	err.Key = name
	return err
}

func unknownKey(key string, known []string) *KeyError {
	if near := nearest(key, known); near != "" {
		return badKey(key, "unknown key; did you mean %s?", near)
	}
	return badKey(key, "unknown key")
}

// nearest returns the known word that is few typing errors away, or "".
func nearest(word string, known []string) string {
	own := strings.TrimPrefix(word, EnvPrefix)
	best, limit := "", min(len(own)/4+1, 4) // further off it is another word
	if len(word) > 64 {
		return ""
	}
	for _, k := range known {
		if d := distance(word, k); d <= limit {
			best, limit = k, d-1
		}
	}
	return best
}

// distance counts the typing errors from a to b: letters added, left out,
// changed, or two neighbours swapped.
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			changed := rows[i-1][j-1]
			if a[i-1] != b[j-1] {
				changed++
			}
			rows[i][j] = min(changed, rows[i-1][j]+1, rows[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

package config

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/viper"
)

// decode writes one raw value, of the file or the environment, into its field.
// viper could do it by itself, but its errors span lines and name no key.
func decode(key string, field reflect.Value, raw any, fromEnv bool) *KeyError {
	switch target := field.Addr().Interface().(type) {
	case *string:
		return decodeString(key, target, raw)
	case *bool:
		return decodeBool(key, target, raw)
	case *Switch:
		return decodeSwitch(key, target, raw)
	case *int:
		n, err := decodeInt(key, raw, math.MaxInt32)
		*target = int(n)
		return err
	case *uint32:
		n, err := decodeInt(key, raw, math.MaxUint32)
		*target = uint32(n)
		return err
	case *time.Duration:
		return decodeDuration(key, target, raw)
	case *Size:
		return decodeSize(key, target, raw)
	case *Secret:
		return decodeSecret(key, target, raw)
	case *[]string:
		return decodeStrings(key, target, raw, fromEnv)
	case *[]App:
		return decodeList(key, target, raw, fromEnv, "apps", "{name: …, id: …, secret: …}", DefaultApp)
	case *[]AdminToken:
		return decodeList(key, target, raw, fromEnv, "tokens", "{name: …, token: …, role: …}", func() AdminToken { return AdminToken{} })
	case *[]ICEServer:
		return decodeList(key, target, raw, fromEnv, "servers", "{urls: [turn:…], secret: …}", defaultICEServer)
	default:
		return badKey(key, "cannot be set") // a new type of field: add it above
	}
}

func decodeString(key string, target *string, raw any) *KeyError {
	s, ok := raw.(string)
	if !ok {
		return badKey(key, "is not text: put it in quotes") // not shown: it may be a password
	}
	*target = s
	return nil
}

func decodeBool(key string, target *bool, raw any) *KeyError {
	switch raw := raw.(type) {
	case bool:
		*target = raw
		return nil
	case string:
		if b, err := strconv.ParseBool(raw); err == nil {
			*target = b
			return nil
		}
	}
	return badKey(key, "%s is not true or false", show(raw))
}

// decodeSwitch takes what decodeBool does, or auto.
func decodeSwitch(key string, target *Switch, raw any) *KeyError {
	if raw == "auto" {
		*target = "auto"
		return nil
	}
	b := false
	if err := decodeBool(key, &b, raw); err != nil {
		return badKey(key, "%s is not auto, true or false", show(raw))
	}
	*target = Switch(strconv.FormatBool(b))
	return nil
}

func decodeInt(key string, raw any, most int64) (int64, *KeyError) {
	n, err := strconv.ParseInt(fmt.Sprint(raw), 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, badKey(key, "%s is not a whole number", show(raw))
	}
	if err != nil || n < 0 || n > most {
		return 0, badKey(key, "%s is not between 0 and %d", show(raw), most)
	}
	return n, nil
}

// durationForm is what [time.ParseDuration] takes, unless it is too much.
var durationForm = regexp.MustCompile(`^[-+]?([0-9]+\.?[0-9]*(ns|us|µs|ms|s|m|h))+$`)

func decodeDuration(key string, target *time.Duration, raw any) *KeyError {
	d, err := time.ParseDuration(fmt.Sprint(raw)) // takes 0 without a unit
	if err != nil && durationForm.MatchString(fmt.Sprint(raw)) {
		return badKey(key, "%s is out of range: at most %s", show(raw), (math.MaxInt64 * time.Nanosecond).Truncate(time.Hour))
	}
	if err != nil {
		return badKey(key, "%s is not a duration such as 500ms, 2s or 1m30s", show(raw))
	}
	if d < 0 {
		return badKey(key, "%s is negative", d)
	}
	*target = d
	return nil
}

// Size is a number of bytes. It is written with a unit: 64MiB.
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}}

// String writes the size as config.yaml has it.
func (s Size) String() string {
	for _, unit := range slices.Backward(sizeUnits) {
		if n := int64(s); n > 0 && n%unit.bytes == 0 {
			return fmt.Sprint(n/unit.bytes, unit.name)
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// decodeSize takes 64MiB, or bytes without a unit.
func decodeSize(key string, target *Size, raw any) *KeyError {
	text, factor := strings.TrimSpace(fmt.Sprint(raw)), int64(1)
	for _, unit := range sizeUnits {
		if rest, ok := strings.CutSuffix(text, unit.name); ok {
			text, factor = strings.TrimSpace(rest), unit.bytes
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	switch {
	case err != nil:
		return badKey(key, "%s is not a size such as 512KiB, 64MiB or 2GiB", show(raw))
	case n < 0 || n > math.MaxInt64/factor:
		return badKey(key, "%s is negative or too large", show(raw))
	}
	*target = Size(n * factor)
	return nil
}

// decodeSecret takes one secret or a list. It never shows what it was given.
func decodeSecret(key string, target *Secret, raw any) *KeyError {
	switch raw := raw.(type) {
	case string:
		*target = nil
		if raw != "" {
			*target = Secret{raw}
		}
		return nil
	case []any:
		secrets := make(Secret, 0, len(raw))
		for i, item := range raw {
			s, ok := item.(string)
			if !ok {
				return badKey(fmt.Sprintf("%s[%d]", key, i), "is not text: put it in quotes")
			}
			secrets = append(secrets, s)
		}
		*target = secrets
		return nil
	default:
		return badKey(key, "is not text: put it in quotes")
	}
}

func decodeStrings(key string, target *[]string, raw any, fromEnv bool) *KeyError {
	if s, ok := raw.(string); ok && fromEnv {
		if !strings.HasPrefix(strings.TrimSpace(s), "[") { // a,b
			*target = SplitList(s)
			return nil
		}
		list, err := parseYAML(s)
		if err != nil {
			return badKey(key, "is not a list such as a,b or [\"a\",\"b\"]")
		}
		raw = list
	}
	if s, ok := raw.(string); ok {
		raw = []any{s}
	}
	items, ok := raw.([]any)
	if !ok {
		return badKey(key, "%s is not a list", show(raw))
	}
	list := make([]string, len(items))
	for i, item := range items {
		if err := decodeString(fmt.Sprintf("%s[%d]", key, i), &list[i], item); err != nil {
			return err
		}
	}
	*target = list
	return nil
}

func SplitList(s string) []string {
	var list []string
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// decodeList takes a list of mappings, each over what fresh returns; of and form say what they are.
func decodeList[T any](key string, target *[]T, raw any, fromEnv bool, of, form string, fresh func() T) *KeyError {
	if s, ok := raw.(string); ok && fromEnv {
		list, err := parseYAML(s)
		if err != nil {
			return badKey(key, "is not a list in JSON or YAML")
		}
		raw = list
	}
	if raw == nil {
		return nil
	}
	items, ok := raw.([]any)
	if !ok {
		return badKey(key, "is not a list of %s: - %s", of, form)
	}
	list := make([]T, len(items))
	for i, item := range items {
		list[i] = fresh()
		if err := decodeStruct(fmt.Sprintf("%s[%d]", key, i), reflect.ValueOf(&list[i]).Elem(), item, form); err != nil {
			return err
		}
	}
	*target = list
	return nil
}

// decodeStruct writes a mapping into a struct, for what stands inside a list.
func decodeStruct(key string, v reflect.Value, raw any, form string) *KeyError {
	mapping, ok := raw.(map[string]any)
	if !ok {
		return badKey(key, "is not a mapping: %s", form)
	}
	fields := map[string]reflect.Value{}
	for i := range v.NumField() {
		fields[v.Type().Field(i).Tag.Get("key")] = v.Field(i)
	}
	for _, name := range sortedKeys(mapping) {
		field, ok := fields[name]
		if !ok {
			err := unknownKey(name, sortedKeys(fields))
			err.Key = key + "." + name
			return err
		}
		value := mapping[name]
		if value == nil {
			continue
		}
		if field.Kind() == reflect.Struct {
			if err := decodeStruct(key+"."+name, field, value, "{…: …}"); err != nil {
				return err
			}
		} else if err := decode(key+"."+name, field, value, false); err != nil {
			return err
		}
	}
	return nil
}

// parseYAML reads one value, which may be JSON, out of an environment variable.
func parseYAML(s string) (any, error) {
	v := viper.New()
	v.SetConfigType("yaml")
	text := "value:\n " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n ")
	if err := v.ReadConfig(strings.NewReader(text)); err != nil {
		return nil, err
	}
	return v.Get("value"), nil
}

// show quotes a wrong value for a message, in one short line.
func show(raw any) string {
	switch raw := raw.(type) {
	case string:
		return fmt.Sprintf("%.40q", raw)
	case map[string]any, []any:
		return "what stands here"
	default:
		return fmt.Sprintf("%.40s", fmt.Sprint(raw))
	}
}

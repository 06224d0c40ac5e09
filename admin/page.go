package admin

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// Page chooses a part of a list, in an order.
type Page struct {
	Limit int    `query:"limit" minimum:"1" maximum:"10000" default:"1000" doc:"At most so many"`
	After string `query:"after" maxLength:"4096" doc:"Go on after the last answer: its next"`
	Sort  string `query:"sort" maxLength:"32" doc:"The property to sort by, with - in front the other way round"`
}

// place is where an item stands in an order: by number, then text, then the item's id.
type place struct {
	Number float64 `json:"n,omitempty"`
	Text   string  `json:"t,omitempty"`
	ID     string  `json:"i"`
}

func (a place) compare(b place) int {
	return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.Text, b.Text), cmp.Compare(a.ID, b.ID))
}

// orders are the properties that a list can be sorted by.
type orders[T any] map[string]func(T) place

// page sorts items and returns those of the page, and where the next begins, if there are more.
func page[T any](items []T, p Page, id func(T) string, by orders[T]) ([]T, string, error) {
	name, down := strings.CutPrefix(p.Sort, "-")
	of := by[name]
	if of == nil {
		if name != "" {
			return nil, "", huma.Error422UnprocessableEntity("sort: want one of " + strings.Join(slices.Sorted(maps.Keys(by)), ", "))
		}
		of = func(T) place { return place{} }
	}
	after, begun, err := parsePlace(p.After)
	if err != nil {
		return nil, "", err
	}
	type placed struct {
		place
		item T
	}
	list := make([]placed, 0, len(items))
	compare := place.compare
	if down {
		compare = func(a, b place) int { return b.compare(a) }
	}
	for _, item := range items {
		at := of(item)
		at.ID = id(item)
		if !begun || compare(at, after) > 0 {
			list = append(list, placed{at, item})
		}
	}
	slices.SortFunc(list, func(a, b placed) int { return compare(a.place, b.place) })
	next := ""
	if len(list) > p.Limit {
		list = list[:p.Limit]
		next = list[p.Limit-1].place.String()
	}
	out := make([]T, len(list))
	for i, at := range list {
		out[i] = at.item
	}
	return out, next, nil
}

// String is the place as a client hands it back.
func (a place) String() string {
	b, _ := json.Marshal(a) // cannot fail
	return base64.RawURLEncoding.EncodeToString(b)
}

func parsePlace(s string) (at place, ok bool, err error) {
	if s == "" {
		return at, false, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		err = json.Unmarshal(b, &at)
	}
	if err != nil {
		return at, false, huma.Error422UnprocessableEntity("after: not the next of an answer")
	}
	return at, true, nil
}

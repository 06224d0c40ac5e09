package backend

import (
	"maps"
	"slices"
)

// Actions lists the actions of the server API.
func Actions() []string { return slices.Sorted(maps.Keys(apiActions)) }

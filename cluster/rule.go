package cluster

import "errors"

const maxRules = 10000 // per app

var errManyRules = errors.New("too many rules in this app")

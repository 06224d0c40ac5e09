package flv

// amf walks over AMF0 values (E-RTMP v2, "Action Message Format"), of which the relay reads few.
// What is broken ends the walk.
type amf struct {
	b []byte
	i int // where to read on
}

const (
	amfNumber    = 0
	amfBoolean   = 1
	amfString    = 2
	amfObject    = 3
	amfNull      = 5
	amfUndefined = 6
	amfReference = 7
	amfECMAArray = 8
	amfObjectEnd = 9
	amfStrict    = 10
	amfDate      = 11
	amfLong      = 12 // string
	amfXML       = 15
	amfTyped     = 16 // object

	amfDepth = 32
)

// bytes reads n bytes.
func (a *amf) bytes(n int) ([]byte, bool) {
	if n < 0 || len(a.b)-a.i < n {
		return nil, false
	}
	a.i += n
	return a.b[a.i-n : a.i], true
}

// name reads a property's name, or the text of a string behind its marker.
func (a *amf) name() ([]byte, bool) {
	n, ok := a.bytes(2)
	if !ok {
		return nil, false
	}
	return a.bytes(int(n[0])<<8 | int(n[1]))
}

// descend goes into an object or an ECMA array, in front of its first property.
func (a *amf) descend() bool {
	m, ok := a.bytes(1)
	switch {
	case !ok:
		return false
	case m[0] == amfObject:
		return true
	case m[0] == amfECMAArray:
		_, ok = a.bytes(4) // a hint at their number
		return ok
	}
	return false
}

// next reads the next property's name; its value is to be read or skipped then. False: there is
// none.
func (a *amf) next() ([]byte, bool) {
	name, ok := a.name()
	if ok && len(name) == 0 && a.i < len(a.b) && a.b[a.i] == amfObjectEnd {
		a.i++
		return nil, false
	}
	return name, ok
}

// number reads a value if it is a number, and returns its eight bytes.
func (a *amf) number() ([]byte, bool) {
	if len(a.b)-a.i < 9 || a.b[a.i] != amfNumber {
		return nil, false
	}
	a.i += 9
	return a.b[a.i-8 : a.i], true
}

// find goes into the object in front, to the value of one of its properties.
func (a *amf) find(property string) bool {
	if !a.descend() {
		return false
	}
	for {
		name, ok := a.next()
		switch {
		case !ok:
			return false
		case string(name) == property:
			return true
		case !a.skip(amfDepth):
			return false
		}
	}
}

// skip reads over one value, at most depth deep.
func (a *amf) skip(depth int) bool {
	m, ok := a.bytes(1)
	if !ok || depth == 0 {
		return false
	}
	switch m[0] {
	case amfNull, amfUndefined:
		return true
	case amfNumber:
		return a.pass(8)
	case amfBoolean:
		return a.pass(1)
	case amfReference:
		return a.pass(2)
	case amfDate:
		return a.pass(10)
	case amfString:
		_, ok = a.name()
		return ok
	case amfLong, amfXML:
		n, ok := a.bytes(4)
		return ok && a.pass(int(n[0])<<24|int(n[1])<<16|int(n[2])<<8|int(n[3]))
	case amfStrict:
		n, ok := a.bytes(4)
		if !ok {
			return false
		}
		for range uint32(n[0])<<24 | uint32(n[1])<<16 | uint32(n[2])<<8 | uint32(n[3]) {
			if !a.skip(depth - 1) {
				return false
			}
		}
		return true
	case amfTyped:
		if _, ok := a.name(); !ok {
			return false
		}
		return a.properties(depth)
	case amfECMAArray:
		return a.pass(4) && a.properties(depth)
	case amfObject:
		return a.properties(depth)
	}
	return false
}

func (a *amf) pass(n int) bool {
	_, ok := a.bytes(n)
	return ok
}

// properties reads over those of an object, with its end.
func (a *amf) properties(depth int) bool {
	for {
		if _, ok := a.next(); !ok {
			return a.i > 0 && a.b[a.i-1] == amfObjectEnd
		}
		if !a.skip(depth - 1) {
			return false
		}
	}
}

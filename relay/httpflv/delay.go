package httpflv

import "liverelay/relay/door"

// word takes what a page says of itself. What else a player says is no fault, and of no effect.
func (p *player) word(text []byte) {
	if told, ok := door.ParseDelay(text); ok {
		p.sub.TellDelay(told)
	}
}

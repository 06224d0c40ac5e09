package room

import "testing"

// FuzzRecords reads what a store may give back: changes, fields, other nodes' messages.
func FuzzRecords(f *testing.F) {
	for _, seed := range []string{
		`{"o":"member","t":1,"m":{"u":{"userID":"a","userName":"A"},"s":"x","k":"n","t":1},"n":true}`,
		`{"o":"stream","s":{"i":"s","u":{"userID":"a"},"l":true}}`, `{"o":"unstream"}`, `{"o":"restore"}`, `{"o":"device","d":null}`,
		`{"o":"custom","g":{"f":{},"m":"x","to":["a"]}}`, `{"o":"extra","x":{"key":"k","value":""}}`, `7`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		st := newState()
		if ch, ok := parseChange(data, 1); ok {
			before := st.snapshot(true)
			_, undo := st.apply(ch)
			st.apply(ch)
			undo()
			undo()
			_ = before
			if _, undo := newState().apply(ch); undo == nil {
				t.Error("cannot be undone")
			}
		}
		v := View{Fields: map[string]string{"m:a": string(data), "d:1:n:a": string(data), "s:a": string(data), "x:a": string(data), metaField: string(data), "?": string(data)}}
		if st, err := parseState(v); err == nil {
			_ = st.snapshot(true)
			_ = st.fields()
			_ = st.empty()
		}
	})
}

// TestApplyUndo: a change that is undone leaves the room as it was.
func TestApplyUndo(t *testing.T) {
	ann, bob := User{"ann", "Ann"}, User{"bob", "Bob"}
	changes := []*Change{
		{Op: OpMember, Member: &Member{User: ann, Session: "1", Node: "n"}},
		{Op: OpDevice, Device: &Device{User: ann, Node: "n"}},
		{Op: OpDevice, Device: &Device{User: bob, Node: "n"}},
		{Op: OpDevice, Device: &Device{User: bob, Node: "m"}},
		{Op: OpStream, Stream: &Stream{ID: "s", User: ann, Live: true}},
		{Op: OpExtra, Extra: &Extra{Key: "k", Value: "v"}},
		{Op: OpLeave, Member: &Member{User: ann, Session: "1"}},
		{Op: OpUndevice, Device: &Device{User: bob, Node: "n"}},
		{Op: OpUndevice, Device: &Device{User: ann, Node: "n"}},
		{Op: OpUnstream, Stream: &Stream{ID: "s"}},
		{Op: OpExtra, Extra: &Extra{Key: "k"}},
		{Op: OpUndevice, Device: &Device{User: bob, Node: "m"}},
		{Op: OpBroadcast, Message: &Message{}},
	}
	st := newState()
	var states []string
	var undos []func()
	look := func() string {
		return string(encode(st.fields())) + string(st.snapshot(true)) + string(encode(st.deviceUsers))
	}
	for _, c := range changes {
		states = append(states, look())
		_, undo := st.apply(c)
		undos = append(undos, undo)
	}
	if !st.empty() || st.users != 0 {
		t.Errorf("%d users are left", st.users)
	}
	for i := len(undos) - 1; i >= 0; i-- {
		undos[i]()
		if got := look(); got != states[i] {
			t.Errorf("undo %d (%s):\n%s, want\n%s", i, changes[i].Op, got, states[i])
		}
	}
}

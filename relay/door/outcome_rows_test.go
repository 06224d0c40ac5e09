package door

import (
	"fmt"
	"testing"
)

// Every row that all doors share is found by its error, and says what each kind of door needs: an
// HTTP status, a label, and a text, if any, that fits into a WebSocket's close frame (RFC 6455
// §5.5: 125 bytes, two of them the code).
func TestOutcomesAreComplete(t *testing.T) {
	for _, row := range outcomes {
		o := OutcomeOf(fmt.Errorf("play live/x: %w", row.Err))
		if o != row {
			t.Errorf("%v becomes %+v", row.Err, o)
		}
		if o.Status < 400 || o.Result == "" || len(o.Text) > 123 {
			t.Errorf("%+v", o)
		}
	}
}

package roomtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"liverelay/room/backend"
)

// Reply is what the server API answers.
type Reply struct {
	Code      int
	Message   string
	RequestId string
	Data      json.RawMessage
}

// Call calls the server API as the app's backend does: signed, with the given query
// and, if there is one, a JSON body.
func Call(ctx context.Context, n *Node, query string, body ...string) (Reply, error) {
	nonce, now := fmt.Sprint(time.Now().UnixNano()), strconv.FormatInt(time.Now().Unix(), 10)
	id := strconv.Itoa(AppID)
	url := n.API + "?" + strings.ReplaceAll(query, "[]", "%5B%5D") + "&AppId=" + id + "&SignatureNonce=" + nonce + "&Timestamp=" + now +
		"&SignatureVersion=2.0&Signature=" + backend.Signature(id, nonce, AppSecret, now)
	method, content := http.MethodGet, io.Reader(http.NoBody)
	if len(body) > 0 {
		method, content = http.MethodPost, strings.NewReader(body[0])
	}
	req, err := http.NewRequestWithContext(ctx, method, url, content)
	if err != nil {
		return Reply{}, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	var rep Reply
	if err := json.NewDecoder(resp.Body).Decode(&rep); err != nil {
		return rep, err
	}
	if rep.Code != 0 {
		return rep, fmt.Errorf("%d %s", rep.Code, rep.Message)
	}
	return rep, nil
}

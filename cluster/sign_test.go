package cluster

import (
	"errors"
	"net/http"
	"strconv"
	"testing"
	"time"
)

func TestSignature(t *testing.T) {
	const to = "10.0.0.1:7000"
	from := Info{ID: "b", Boot: "x", Address: "10.0.0.2:7000"}
	for _, test := range []struct {
		name   string
		change func(r *http.Request, s *signer)
		want   error
	}{
		{"as it was signed", func(*http.Request, *signer) {}, nil},
		{"half a minute late", func(_ *http.Request, s *signer) { s.now = func() time.Time { return time.Now().Add(30 * time.Second) } }, nil},
		{"half a minute early", func(_ *http.Request, s *signer) {
			s.now = func() time.Time { return time.Now().Add(-30 * time.Second) }
		}, nil},
		{"old", func(_ *http.Request, s *signer) { s.now = func() time.Time { return time.Now().Add(2 * time.Minute) } }, errStamp},
		{"from the future", func(_ *http.Request, s *signer) { s.now = func() time.Time { return time.Now().Add(-2 * time.Minute) } }, errStamp},
		{"another secret", func(_ *http.Request, s *signer) { s.secrets = []string{"another"} }, errSignature},
		{"a further secret", func(_ *http.Request, s *signer) { s.secrets = []string{"another", "secret"} }, nil},
		{"another path", func(r *http.Request, _ *signer) { r.URL.RawQuery = "app=other" }, errSignature},
		{"another node", func(r *http.Request, _ *signer) { r.Header.Set(headerFrom, `{"id":"c"}`) }, errSignature},
		{"another time", func(r *http.Request, _ *signer) { r.Header.Set(headerStamp, "1.x") }, errSignature},
		{"none", func(r *http.Request, _ *signer) { r.Header.Del(headerSignature) }, errUnsigned},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, _ := http.NewRequest(http.MethodGet, "http://"+to+"/node/pull?app=live", nil)
			if _, err := newSigner([]string{"secret"}).sign(r, from, to); err != nil {
				t.Fatal(err)
			}
			s := newSigner([]string{"secret"})
			test.change(r, s)
			got, _, err := s.verify(r, to)
			if !errors.Is(err, test.want) || err == nil && got != from {
				t.Errorf("%+v, %v; want %v", got, err, test.want)
			}
			if err == nil {
				if _, _, err := s.verify(r, to); !errors.Is(err, errReplayed) {
					t.Errorf("the same again: %v", err)
				}
				if _, _, err := s.verify(r, "10.0.0.3:7000"); !errors.Is(err, errTo) {
					t.Errorf("at another node: %v", err)
				}
			}
		})
	}
}

func TestNoncesAreBounded(t *testing.T) {
	s := newSigner([]string{"secret"})
	now := time.Now()
	for i := range maxNonces {
		if err := s.once(strconv.Itoa(i), now); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := s.once("one more", now); !errors.Is(err, errReplayed) {
		t.Errorf("beyond the bound: %v", err)
	}
	if err := s.once("later", now.Add(3*maxSkew)); err != nil {
		t.Errorf("when all are old: %v", err)
	}
}

package config

import "testing"

func TestSiteForClients(t *testing.T) {
	cfg := Default()
	tests := []struct {
		advertise, host string
		secure          bool
		rtmp, http      string
	}{
		{"", "", false, "rtmp://127.0.0.1:1935", "http://127.0.0.1:8080"},
		{"", "192.0.2.1:8080", false, "rtmp://192.0.2.1:1935", "http://192.0.2.1:8080"},
		{"", "[2001:db8::1]:8080", false, "rtmp://[2001:db8::1]:1935", "http://[2001:db8::1]:8080"},
		{"", "[2001:db8::1]", false, "rtmp://[2001:db8::1]:1935", "http://[2001:db8::1]"},
		{"", "live.example.com", true, "rtmp://live.example.com:1935", "https://live.example.com"},
		{"push.example.com", "live.example.com", true, "rtmp://push.example.com:1935", "https://live.example.com"},
		{"push.example.com", "", false, "rtmp://push.example.com:1935", "http://push.example.com:8080"},
	}
	for _, tt := range tests {
		cfg.Node.Advertise = tt.advertise
		if got := cfg.SiteAt(tt.host, tt.secure); got.RTMP != tt.rtmp || got.HTTP != tt.http {
			t.Errorf("advertise %q, host %q: %+v", tt.advertise, tt.host, got)
		}
	}
}

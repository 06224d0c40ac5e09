//go:build deps

package deps

import (
	_ "github.com/coder/websocket"
	_ "github.com/coder/websocket/wsjson"
	_ "github.com/danielgtaylor/huma/v2"
	_ "github.com/danielgtaylor/huma/v2/adapters/humago"
	_ "github.com/gobwas/ws"
	_ "github.com/gobwas/ws/wsutil"
	_ "github.com/pion/rtp"
	_ "github.com/pion/rtp/codecs"
	_ "github.com/prometheus/client_golang/prometheus"
	_ "github.com/prometheus/client_golang/prometheus/promhttp"
	_ "github.com/prometheus/client_golang/prometheus/collectors"
	_ "github.com/redis/go-redis/v9"
	_ "github.com/spf13/viper"
	_ "github.com/yutopp/go-amf0"
	_ "github.com/yutopp/go-rtmp"
	_ "github.com/yutopp/go-rtmp/handshake"
	_ "github.com/yutopp/go-rtmp/message"
	_ "go.uber.org/goleak"
	_ "github.com/golang-jwt/jwt/v5"
	_ "github.com/pires/go-proxyproto"
	_ "golang.org/x/sys/unix"
)

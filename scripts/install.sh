#!/bin/sh
# Installs the programs that the tests use, where apt-get can and this user may.
# Otherwise says what is missing and what will therefore not be tested. It never fails.
#
#   scripts/install.sh            installs, and says what is still missing
#   scripts/install.sh --missing  only says it
set -u
cd "$(dirname "$0")/.." || exit 0

node=22.20.0 # where the system's is too old

# program or file to look for | Debian packages | what needs it
needs='
gcc|gcc libc6-dev|the race detector; a Redis with a clock of its own
ffmpeg|ffmpeg|publishing and playing with a real client
ffprobe|ffmpeg|comparing what arrives
ip|iproute2|a publisher whose network is cut
rtmpdump|rtmpdump|playing with librtmp
redis-server|redis-server|the store of several nodes
nginx|nginx|a proxy in front; pushing to and pulling from another server
/usr/lib/nginx/modules/ngx_rtmp_module.so|libnginx-mod-rtmp|pushing to and pulling from another server
/usr/lib/nginx/modules/ngx_stream_module.so|libnginx-mod-stream|RTMP through nginx, in front of several nodes
haproxy|haproxy|a load balancer in front, and its health checks
systemd-analyze|systemd|verifying the systemd unit
promtool|prometheus|checking metrics as Prometheus reads them
chromium|chromium|pages and web players in a real browser
/usr/share/fonts/truetype/wqy/wqy-zenhei.ttc|fonts-wqy-zenhei|Chinese in screenshots of the pages
gst-launch-1.0|gstreamer1.0-tools|playing with GStreamer
GStreamer plugins|gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-libav|playing with GStreamer
node|nodejs npm|the client SDK
npm|nodejs npm|the client SDK
python3 cryptography|python3-cryptography|the example of a Python backend
php|php-cli|the example of a PHP backend
javac|default-jdk-headless|the example of a Java backend
'

# What npm installs below, and nginx, which Debian keeps where a user's PATH does not look.
PATH=$PWD/bin/node/node_modules/.bin:$PATH:/usr/sbin:/sbin
export PATH

have() {
	case $1 in
	/*) [ -e "$1" ] ;;
	"Node.js 20") node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' ;;
	"python3 cryptography") python3 -c 'import cryptography' ;;
	"GStreamer plugins") gst-inspect-1.0 rtmp2src && gst-inspect-1.0 souphttpsrc && gst-inspect-1.0 flvdemux && gst-inspect-1.0 avdec_h264 ;;
	chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
	*) command -v "$1" ;;
	esac >/dev/null 2>&1
}

missing() { # prints the lines of what is not there
	echo "$needs" | while IFS='|' read -r what packages why; do
		[ -n "$what" ] && ! have "$what" && echo "$what|$packages|$why"
	done
	have node && ! have "Node.js 20" && echo "Node.js 20||the client SDK; here is $(node -v)"
}

packages() { # of the lines
	echo "$lines" | cut -d'|' -f2 | tr ' ' '\n' | grep . | sort -u | tr '\n' ' '
}

lines=$(missing)
[ -z "$lines" ] && exit 0
packages=$(packages)

as_root=none
if [ "${1:-}" != --missing ] && [ -n "$packages" ] && command -v apt-get >/dev/null 2>&1; then
	if [ "$(id -u)" = 0 ]; then
		as_root=""
	elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
		as_root="sudo -n"
	fi
fi
if [ "$as_root" != none ]; then
	echo "installing for the tests: $packages"
	log=$(mktemp)
	# The tests start redis-server and nginx themselves: the system shall not (Debian Policy 9.3.3).
	policy=/usr/sbin/policy-rc.d
	if [ ! -e "$policy" ] && printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null 2>&1; then
		$as_root chmod 755 "$policy"
		trap '$as_root rm -f "$policy"' EXIT
		trap 'exit 1' INT TERM
	fi
	apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120"
	$apt update >"$log" 2>&1 || tail -n 3 "$log"
	# All at once is fastest; one by one, a package that is not to be had stops no other.
	if ! $apt install --no-install-recommends $packages >"$log" 2>&1; then
		for package in $packages; do
			$apt install --no-install-recommends "$package" >"$log" 2>&1 || echo "$package: $(grep '^E:' "$log" | head -n 1)"
		done
	fi
	rm -f "$log"
fi
# Debian 12 has Node.js 18. npm has newer ones, and needs no root for it.
if [ "${1:-}" != --missing ] && have npm && have node && ! have "Node.js 20"; then
	echo "installing for the tests: Node.js $node, in bin/node, beside $(node -v)"
	mkdir -p bin/node
	npm install --prefix bin/node --no-save --no-audit --no-fund --loglevel=error "node@$node" >/dev/null
	hash -r # this shell remembers where node was
fi

lines=$(missing)
[ -z "$lines" ] && exit 0
packages=$(packages)
echo "missing, so these are not tested:"
echo "$lines" | while IFS='|' read -r what _ why; do
	echo "  $what ($why)"
done
[ -z "$packages" ] && exit 0
if command -v apt-get >/dev/null 2>&1; then
	echo "to have them, as root: apt-get update && apt-get install $packages"
elif command -v brew >/dev/null 2>&1; then
	echo "to have most of them: brew install ffmpeg redis rtmpdump node"
fi
exit 0

# liverelay: everything one does with this checkout. Needs Go; the rest is optional.
export PATH := $(CURDIR)/bin/node/node_modules/.bin:$(PATH)
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
LINT    := v2.15.0
# VERSION says what git knows. go itself would ask git too, and fail where the checkout is another user's.
# TAGS: notranscode leaves out the audio codecs, one of which is under the LGPL.
GO_BUILD = CGO_ENABLED=0 go build -tags "$(TAGS)" -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(VERSION)"

.PHONY: help run build test bench lint demo sdk web pages clean
.NOTPARALLEL: # pages before the binary that carries them
help:           ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/'

run: pages build ## build (pages too, where Node.js is there) and serve; ARGS="--config my.yaml" for a configuration
	bin/liverelay serve $(ARGS)

demo: pages build ## serve, with a moving test picture to watch
	bin/liverelay demo $(ARGS)

build:          ## bin/liverelay, the server, and bin/livebench, the load generator
	@mkdir -p bin
	$(GO_BUILD) -o bin/ ./cmd/...

test:           ## install what the tests need, then run all of them
	scripts/test.sh

bench:          ## measure CPU and latency on this machine (docs/performance.md); ARGS=quick|standard|full
	scripts/bench $(ARGS)

lint: bin/golangci-lint-$(LINT) ## what the compiler does not see
	$< run ./...

bin/golangci-lint-$(LINT):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT)
	mv bin/golangci-lint $@

sdk:            ## sdk/dist and sdk/miniprogram_dist (needs Node.js)
	cd sdk && npm ci --no-audit --no-fund && npm run build

web:            ## the pages that the server carries, web/dist (needs Node.js 20.19 and newer)
	cd web && npm ci --no-audit --no-fund --loglevel=error && npm run build

# For run and demo: built when something changed, and left out where it cannot be. The server says so on its pages.
PAGES := web/dist/pages/play/index.html
pages:
	@if node -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 20 || a == 20 && b >= 19 ? 0 : 1)' 2>/dev/null && command -v npm >/dev/null; \
	then $(MAKE) --no-print-directory $(PAGES) || echo "The pages could not be built (see above); the server runs without them." >&2; \
	else echo "Node.js 20.19 or newer is not there: the server runs without its pages." >&2; fi

$(PAGES): admin/testdata/openapi.json $(shell find web sdk/src -type f -not -path '*/node_modules/*' -not -path 'web/dist/*')
	$(MAKE) --no-print-directory web

clean:          ## remove what was built
	rm -rf bin sdk/dist sdk/miniprogram_dist web/dist/pages

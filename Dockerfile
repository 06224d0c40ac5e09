# A static binary and nothing else.
#
#   docker build -t liverelay .
#   docker run --rm -p 1935:1935 -p 8080:8080 liverelay
#
# The admin listener stays inside the container unless it is told otherwise:
#   -p 127.0.0.1:8081:8081 -e LIVERELAY_ADMIN_LISTEN=:8081 -e LIVERELAY_ADMIN_TOKEN=…

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=container TARGETOS TARGETARCH
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /liverelay ./cmd/liverelay

FROM scratch
# For hooks and Redis over TLS.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /liverelay /liverelay
USER 65532:65532
EXPOSE 1935 8080 8081 8000 8000/udp
HEALTHCHECK --interval=10s --timeout=5s --start-period=5s CMD ["/liverelay", "check", "--health"]
ENTRYPOINT ["/liverelay"]
CMD ["serve"]

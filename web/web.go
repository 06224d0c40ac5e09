// Package web carries the pages: the call page at /call/, the play page at /play/{app}/{stream}
// and, on the operators' listener, the console at /. They are built by make web and embedded; a
// binary built without them says so.
package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
)

// dist holds pages/ once make web ran, and a note always, so that there is something to embed.
//
//go:embed all:dist
var dist embed.FS

const notBuilt = "This binary carries no pages. Build them with `make web` (Node.js 20.19 and newer), then the server with `make build`."

// Options say which pages there are.
type Options struct {
	Call    bool
	Play    bool
	Console bool // at /, of a listener that is not public

	// Demo makes what a visitor of the call page joins with; nil: he has to bring it along. It
	// is asked for each visitor, and what it returns becomes the JSON at /call/demo.
	Demo func() (Login, error)

	files fs.FS // for tests; nil: what is embedded
}

// Login is what it takes to enter a room.
type Login struct {
	App   string `json:"app"`    // name
	AppID uint32 `json:"app_id"` // number of the same app
	Room  string `json:"room"`
	User  string `json:"user"`
	Token string `json:"token"` // Token04
}

// Handler serves what is at [Paths].
type Handler struct {
	options Options
	mux     http.ServeMux
	files   map[string]file // by path below pages/
}

// Paths are the patterns that belong to the handler.
var Paths = []string{"/call", "/call/", "/play/", "/web/"}

// file is one built file with the headers it always has.
type file struct {
	body    []byte
	packed  func() []byte // by gzip, when first asked for; nil: it would not be smaller
	headers [][2]string
}

func pack(body []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // a level that there is
	_, _ = w.Write(body)                                  // into memory
	_ = w.Close()
	return b.Bytes()
}

// acceptsGzip reads RFC 9110 §12.5.3 as far as browsers use it.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, quality, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return !strings.HasPrefix(strings.ReplaceAll(quality, " ", ""), "q=0") || strings.Contains(quality, "0.")
		}
	}
	return false
}

// New returns the handler for what is embedded.
func New(o Options) *Handler {
	if o.files == nil {
		o.files, _ = fs.Sub(dist, "dist") // a constant: it is there
	}
	h := &Handler{options: o, files: read(o.files)}
	h.mux.Handle("GET /call", http.RedirectHandler("/call/", http.StatusMovedPermanently))
	h.mux.HandleFunc("GET /call/{$}", h.page(o.Call, "call/index.html"))
	h.mux.HandleFunc("GET /call/demo", h.demo)
	h.mux.HandleFunc("GET /play/{app}/{stream}", h.page(o.Play, "play/index.html"))
	if o.Console {
		h.mux.HandleFunc("GET /{$}", h.page(true, "console/index.html"))
	}
	h.mux.HandleFunc("GET /web/{path...}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("path")
		if path.Ext(name) == ".html" { // a page is at its own address, where it is offered
			notFound(w, r)
			return
		}
		h.serve(w, r, name)
	})
	h.mux.HandleFunc("/", notFound)
	return h
}

// Built says whether the binary carries pages.
func (h *Handler) Built() bool { return len(h.files) > 0 }

// ServeHTTP implements [http.Handler].
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer") // the address may hold a token
	h.mux.ServeHTTP(w, r)
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusNotFound, map[string]string{"error": "not found"})
}

func (h *Handler) page(offered bool, name string) http.HandlerFunc {
	if !offered {
		return notFound
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if !h.Built() {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, notBuilt)
			return
		}
		h.serve(w, r, name)
	}
}

// demo makes a login. A page of another site cannot read it, for want of CORS headers.
func (h *Handler) demo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if h.options.Demo == nil || !h.options.Call {
		notFound(w, r)
		return
	}
	login, err := h.options.Demo()
	if err != nil {
		answer(w, http.StatusInternalServerError, map[string]string{"error": "internal error"})
		return
	}
	answer(w, http.StatusOK, login)
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may have gone
}

func (h *Handler) serve(w http.ResponseWriter, r *http.Request, name string) {
	f, ok := h.files[name]
	if !ok {
		notFound(w, r)
		return
	}
	header := w.Header()
	for _, pair := range f.headers {
		header.Set(pair[0], pair[1])
	}
	body := f.body
	if f.packed != nil {
		header.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r) {
			body = f.packed()
			header.Set("Content-Encoding", "gzip")
			header.Set("ETag", strings.TrimSuffix(header.Get("ETag"), `"`)+`-gzip"`) // RFC 9110 §8.8.3.3
		}
	}
	for tag := range strings.SplitSeq(r.Header.Get("If-None-Match"), ",") { // RFC 9110 §13.1.2: weak comparison
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == "*" || tag == header.Get("ETag") {
			header.Del("Content-Type")
			header.Del("Content-Encoding")
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	header.Set("Content-Length", fmt.Sprint(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may have gone
	}
}

// read takes the built files in and gives each its headers.
func read(from fs.FS) map[string]file {
	files := make(map[string]file)
	pages, err := fs.Sub(from, "pages")
	if err != nil {
		return files
	}
	_ = fs.WalkDir(pages, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil // not built: nothing to walk through
		}
		if body, err := fs.ReadFile(pages, name); err == nil {
			f := file{body: body, headers: headers(name, body)}
			if len(body) > 512 && types[path.Ext(name)] != "" {
				f.packed = sync.OnceValue(func() []byte { return pack(body) })
			}
			files[name] = f
		}
		return nil
	})
	return files
}

// What a file may do. Pages load nothing from elsewhere but media and signalling, whose node may be
// another. A worker has the policy of its own file: the AAC encoder compiles WebAssembly, in a
// worker that it makes of a blob.
const (
	policyPage = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; " +
		"worker-src 'self'; connect-src 'self' ws: wss: http: https:; base-uri 'none'; form-action 'none'; frame-ancestors "
	policyWorker = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src blob:; connect-src 'self' ws: wss:"
	policyOther  = "default-src 'none'; style-src 'unsafe-inline'; sandbox" // a picture or script that is opened as a page
)

// types are by name: what the machine's table of MIME types says must not matter.
var types = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".svg":  "image/svg+xml",
	".txt":  "text/plain; charset=utf-8",
	".wasm": "application/wasm",
}

func headers(name string, body []byte) [][2]string {
	extension, base := path.Ext(name), path.Base(name)
	kind := types[extension]
	if kind == "" {
		kind = mime.TypeByExtension(extension)
	}
	if kind == "" {
		kind = "application/octet-stream"
	}
	sum := sha256.Sum256(body)
	list := [][2]string{
		{"Content-Type", kind},
		{"ETag", `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`},
	}
	page := func(ancestors, devices string) [][2]string {
		return append(list, [2]string{"Content-Security-Policy", policyPage + ancestors}, [2]string{"Cache-Control", "no-cache"},
			[2]string{"Permissions-Policy", "camera=" + devices + ", microphone=" + devices})
	}
	switch {
	case name == "call/index.html":
		return page("'none'", "(self)")
	case name == "console/index.html":
		return page("'none'", "()")
	case extension == ".html": // the play page may be part of others
		return page("*", "()")
	case strings.HasPrefix(base, "worker-"):
		list = append(list, [2]string{"Content-Security-Policy", policyWorker})
	default:
		list = append(list, [2]string{"Content-Security-Policy", policyOther})
	}
	if !strings.HasPrefix(name, "assets/") {
		return append(list, [2]string{"Cache-Control", "no-cache"})
	}
	return append(list, [2]string{"Cache-Control", "public, max-age=31536000, immutable"}) // the name holds a hash
}

package support

import (
	"archive/zip"
	"bytes"
	"compress/flate"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// MaxBundle is the most bytes of a bundle: it goes into mails and tickets.
const MaxBundle = 5 << 20

// What a bundle needs beside its files: their entries in the list at its end, and the first one,
// which tells of them.
const bundleReserve = 64 << 10

// Bundle is one file, a zip, of several. What does not fit is cut or left out, and its first file
// says so.
type Bundle struct {
	redactor *Redactor
	now      time.Time
	most     int
	entries  []entry
	size     int
	told     bytes.Buffer
}

type entry struct {
	name   string
	packed []byte
	raw    int
	sum    uint32
}

// NewBundle begins one of at most [MaxBundle] bytes; about is what its first file begins with.
func NewBundle(about string, r *Redactor) *Bundle {
	b := &Bundle{redactor: r, now: time.Now(), most: MaxBundle - bundleReserve}
	fmt.Fprintln(&b.told, about)
	return b
}

// AddText adds a file of text, which it takes over, without credentials; of one that is longer than
// most bytes only the first, or with end the last of them.
func (b *Bundle) AddText(name string, text []byte, most int, end bool) {
	most = min(most, b.most-b.size)
	size := len(text)
	text = b.redactor.Redact(text) // before the cut, which may leave half of one
	if size > most {
		if most < 1024 {
			b.Missing(name, fmt.Errorf("its %d bytes do not fit", size))
			return
		}
		if end {
			text = text[size-most:]
		} else {
			text = text[:most]
		}
	}
	b.put(name, text)
	if len(text) < size {
		fmt.Fprintf(&b.told, "%s: %d of its %d bytes\n", name, len(text), size)
	} else {
		fmt.Fprintf(&b.told, "%s\n", name)
	}
}

// AddBinary adds a file that holds no text of ours, such as a profile, whole or not at all.
func (b *Bundle) AddBinary(name string, content []byte) {
	before := b.size
	b.put(name, content)
	if b.size > b.most {
		b.entries, b.size = b.entries[:len(b.entries)-1], before
		b.Missing(name, fmt.Errorf("its %d bytes do not fit", len(content)))
		return
	}
	fmt.Fprintf(&b.told, "%s\n", name)
}

// Missing says in the first file why another is not there.
func (b *Bundle) Missing(name string, why error) {
	fmt.Fprintf(&b.told, "%s: is not here: %v\n", name, why)
}

func (b *Bundle) put(name string, content []byte) {
	var packed bytes.Buffer
	w, _ := flate.NewWriter(&packed, flate.DefaultCompression) // fails only for another level
	_, _ = w.Write(content)                                    // memory takes all
	_ = w.Close()
	b.entries = append(b.entries, entry{name, packed.Bytes(), len(content), crc32.ChecksumIEEE(content)})
	b.size += packed.Len()
}

// WriteTo writes the whole bundle.
func (b *Bundle) WriteTo(out io.Writer) (int64, error) {
	files := b.entries
	b.entries, b.size = nil, 0
	b.put("README.txt", b.redactor.Redact(b.told.Bytes()))
	counted := &counter{w: out}
	z := zip.NewWriter(counted)
	for _, e := range append(b.entries, files...) {
		h := &zip.FileHeader{
			Name: e.name, Method: zip.Deflate, CRC32: e.sum, CompressedSize64: uint64(len(e.packed)), UncompressedSize64: uint64(e.raw),
		}
		h.SetModTime(b.now.UTC()) //nolint:staticcheck // CreateRaw takes the time from nowhere else
		w, err := z.CreateRaw(h)
		if err == nil {
			_, err = w.Write(e.packed)
		}
		if err != nil {
			return counted.n, err
		}
	}
	return counted.n, z.Close()
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

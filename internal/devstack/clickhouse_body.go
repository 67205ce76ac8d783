package devstack

// Decoding request bodies: HTTP content encodings and ClickHouse's own frames.

import (
	"bufio"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// requestBody is the decoded body. Every reader of it ends with io.EOF only
// where the sender ended it.
func requestBody(r *http.Request, values url.Values) (io.Reader, error) {
	var body io.Reader = r.Body
	encoding := r.Header.Get("Content-Encoding")
	var err error
	switch encoding {
	case "", "identity":
	case "gzip":
		body = &lazyReader{open: func() (io.Reader, error) { return gzip.NewReader(r.Body) }}
	case "deflate":
		body = &lazyReader{open: func() (io.Reader, error) { return zlib.NewReader(r.Body) }}
	case "br":
		body = brotli.NewReader(r.Body)
	case "lz4":
		body = lz4.NewReader(r.Body)
	case "zstd":
		body, err = zstd.NewReader(r.Body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20))
	default:
		return nil, newEngineError(codeNotImplemented, "Content-Encoding %q is not supported; use gzip, deflate, br, zstd, lz4 or none", encoding)
	}
	if err != nil {
		return nil, newEngineError(codeCannotDecompress, "%v", err)
	}
	if on(values.Get("decompress")) {
		body = newFrameReader(body)
	}
	return body, nil
}

func on(v string) bool { return v == "1" || v == "true" }

// lazyReader opens its source at the first Read: an empty body has no gzip
// head to wait for.
type lazyReader struct {
	open func() (io.Reader, error)
	r    io.Reader
}

func (l *lazyReader) Read(p []byte) (int, error) {
	if l.r == nil {
		r, err := l.open()
		if err != nil {
			return 0, err
		}
		l.r = r
	}
	return l.r.Read(p)
}

// frameReader decodes the frames of ClickHouse's `decompress=1`: checksum,
// method, sizes, data.
type frameReader struct {
	src *bufio.Reader
	dec *compress.Reader
}

func newFrameReader(r io.Reader) *frameReader {
	src := bufio.NewReaderSize(r, 64<<10)
	return &frameReader{src: src, dec: compress.NewReader(src)}
}

// Read ends with io.EOF only between two frames; inside one, an end is an error.
func (f *frameReader) Read(p []byte) (int, error) {
	_, peek := f.src.Peek(1)
	n, err := f.dec.Read(p)
	switch {
	case err == nil || n > 0:
		return n, nil
	case errors.Is(err, io.EOF) && errors.Is(peek, io.EOF):
		return 0, io.EOF // no byte was left, so the decoder found nothing to begin with
	case errors.Is(err, io.EOF):
		return 0, fmt.Errorf("compressed block: %w", io.ErrUnexpectedEOF)
	}
	return 0, fmt.Errorf("compressed block: %w", err)
}

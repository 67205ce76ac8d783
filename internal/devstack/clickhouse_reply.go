package devstack

// Writing an answer: headers, compression, and an error after the first byte.

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/ClickHouse/ch-go/compress"
	"github.com/klauspost/compress/zstd"
)

// reply is the answer to one statement.
type reply struct {
	w       http.ResponseWriter
	tag     string // marks an error in mid-answer as the server's own
	started bool   // bytes or headers have left
	rows    uint64 // written by an insert

	frames *compress.Writer // compress=1: ClickHouse's own blocks
	coder  io.WriteCloser   // an HTTP content encoding
}

func newReply(w http.ResponseWriter, r *http.Request, values url.Values, st *statement) (*reply, error) {
	rep := &reply{w: w, tag: newTag()}
	head := w.Header()
	head.Set("X-ClickHouse-Exception-Tag", rep.tag)
	format := st.format
	if st.sql.format != "" {
		format = st.sql.format
	}
	head.Set("X-ClickHouse-Format", format)
	head.Set("Content-Type", contentType(format))
	if on(values.Get("compress")) {
		head.Set("Content-Type", "application/octet-stream")
		switch method := strings.ToUpper(values.Get("network_compression_method")); method {
		case "", "LZ4", "LZ4HC":
			rep.frames = compress.NewWriter(0, compress.LZ4)
		case "ZSTD":
			rep.frames = compress.NewWriter(0, compress.ZSTD)
		case "NONE":
			rep.frames = compress.NewWriter(0, compress.None)
		default:
			return nil, newEngineError(codeNotImplemented, "network_compression_method %q is not supported; use LZ4, ZSTD or NONE", method)
		}
		return rep, nil
	}
	accepts := r.Header.Get("Accept-Encoding")
	if !on(values.Get("enable_http_compression")) && !strings.HasPrefix(r.UserAgent(), "clickhouse-go") {
		accepts = "" // as a server: only who asks for it by setting
	}
	switch {
	case strings.Contains(accepts, "gzip"):
		head.Set("Content-Encoding", "gzip")
		rep.coder, _ = gzip.NewWriterLevel(w, gzip.BestSpeed) // the level is valid
	case strings.Contains(accepts, "zstd"):
		head.Set("Content-Encoding", "zstd")
		rep.coder, _ = zstd.NewWriter(w, zstd.WithEncoderConcurrency(1)) // the option is valid
	}
	return rep, nil
}

// contentType follows ClickHouse for the formats that people read.
func contentType(format string) string {
	switch f := strings.ToLower(format); {
	case strings.HasPrefix(f, "json"):
		return "application/json; charset=UTF-8"
	case strings.HasPrefix(f, "csv"):
		return "text/csv; charset=UTF-8; header=absent"
	case strings.HasPrefix(f, "tabseparated"), strings.HasPrefix(f, "tsv"):
		return "text/tab-separated-values; charset=UTF-8"
	case f == "native", f == "parquet", strings.HasPrefix(f, "rowbinary"):
		return "application/octet-stream"
	}
	return "text/plain; charset=UTF-8"
}

// wrote notes the rows of an insert for the summary header.
func (rep *reply) wrote(rows uint64) { rep.rows = rows }

// start sends the headers.
func (rep *reply) start() {
	if rep.started {
		return
	}
	rep.started = true
	rep.w.Header().Set("X-ClickHouse-Summary", fmt.Sprintf(`{"written_rows":"%d"}`, rep.rows))
}

// write sends a piece of the result; b is not kept.
func (rep *reply) write(b []byte) error {
	rep.start()
	switch {
	case rep.frames != nil:
		for len(b) > 0 {
			n := min(len(b), 1<<20)
			if err := rep.frames.Compress(b[:n]); err != nil {
				return fmt.Errorf("compressing the answer: %w", err)
			}
			if _, err := rep.w.Write(rep.frames.Data); err != nil {
				return fmt.Errorf("sending the answer: %w", err)
			}
			b = b[n:]
		}
		return nil
	case rep.coder != nil:
		if _, err := rep.coder.Write(b); err != nil {
			return fmt.Errorf("sending the answer: %w", err)
		}
		return nil
	}
	if _, err := rep.w.Write(b); err != nil {
		return fmt.Errorf("sending the answer: %w", err)
	}
	return nil
}

// close ends an answer that went well.
func (rep *reply) close() error {
	if !rep.started {
		rep.w.Header().Del("Content-Encoding") // there is nothing to decode
		rep.start()
		return nil
	}
	if rep.coder != nil {
		if err := rep.coder.Close(); err != nil {
			return fmt.Errorf("sending the answer: %w", err)
		}
	}
	return nil
}

// fail tells an error to a client that has already seen a status of 200, the
// way that ClickHouse does: a marked block at the end of the body.
func (rep *reply) fail(err error) {
	message := strings.TrimRight(err.Error(), "\n")
	if !strings.HasPrefix(message, "Code: ") {
		message = newEngineError(codeUnknown, "%s", message).Message
	}
	if len(message) > 15<<10 {
		message = message[:15<<10]
	}
	block := fmt.Sprintf("\r\n__exception__\r\n%s\r\n%s\n%d %s\r\n__exception__\r\n", rep.tag, message, len(message)+1, rep.tag)
	if rep.coder != nil {
		_, _ = io.WriteString(rep.coder, block)
		_ = rep.coder.Close()
		return
	}
	_, _ = io.WriteString(rep.w, block) // a client that left misses nothing
}

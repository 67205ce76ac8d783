package devstack

// What a statement gives back: a whole result, a stream of chunks, or an insert in progress.

import (
	"io"
	"unsafe"
)

// result is memory of the engine; free it once.
type result struct {
	lib *chdbLibrary
	ptr unsafe.Pointer
}

// query runs any statement and holds its whole result.
func (s *session) query(text, format string, params []parameter) result {
	return result{s.lib, s.call(s.lib.query, text, format, params)}
}

func (r result) err() error {
	if r.ptr == nil {
		return newEngineError(codeUnknown, "the engine gave no result")
	}
	return parseEngineError(r.lib.resultError(r.ptr))
}

// bytes are valid until free.
func (r result) bytes() []byte {
	n := r.lib.resultLength(r.ptr)
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(r.lib.resultBuffer(r.ptr)), n)
}

func (r result) written() uint64 { return r.lib.resultWritten(r.ptr) }

func (r result) free() {
	if r.ptr != nil {
		r.lib.resultDestroy(r.ptr)
	}
}

// stream is a SELECT whose result comes in chunks.
type stream struct {
	session *session
	handle  result
	done    bool
}

// stream starts a SELECT; its error may come here or with a chunk.
func (s *session) stream(text, format string, params []parameter) (*stream, error) {
	st := &stream{session: s, handle: result{s.lib, s.call(s.lib.streamQuery, text, format, params)}}
	if err := st.handle.err(); err != nil {
		st.done = true
		st.close()
		return nil, err
	}
	return st, nil
}

// next writes the next chunk; io.EOF after the last one. It blocks until the
// engine has one.
func (st *stream) next(write func([]byte) error) error {
	lib := st.session.lib
	chunk := result{lib, lib.fetch(st.session.conn, st.handle.ptr)}
	defer chunk.free()
	if err := chunk.err(); err != nil {
		st.done = true
		return err
	}
	b := chunk.bytes()
	if len(b) == 0 {
		st.done = true
		return io.EOF
	}
	return write(b)
}

// close ends the stream, whether it was read to its end or not.
func (st *stream) close() {
	if !st.done {
		st.session.lib.cancelQuery(st.session.conn, st.handle.ptr)
	}
	st.handle.free()
}

// insertChunk is how much of a body goes to the engine at once.
const insertChunk = 1 << 20

// errBody marks an error of the body, not of the engine.
type errBody struct{ error }

func (e errBody) Unwrap() error { return e.error }

// insert runs "INSERT INTO … (…)" with body in the given format and commits
// only if body ended with a plain io.EOF: a body that was cut off is not
// stored. (What the engine already took as full blocks of about a million rows
// stays, as on a server.) It returns the rows written.
func (s *session) insert(text, format string, params []parameter, body io.Reader) (rows uint64, err error) {
	lib := s.lib
	h := s.call(lib.insert, text, format, params)
	if h == nil {
		return 0, newEngineError(codeUnknown, "the engine did not start the insert")
	}
	defer lib.insertDestroy(h)
	if err := parseEngineError(lib.insertError(h)); err != nil {
		return 0, err
	}
	buf := make([]byte, insertChunk)
	for fill := 0; ; {
		// Read, not io.ReadFull: that turns a truncated body into an end.
		n, err := body.Read(buf[fill:])
		fill += n
		if err == nil && fill < len(buf) {
			continue
		}
		if err != nil && err != io.EOF { //nolint:errorlint // a wrapped EOF is no clean end
			lib.insertCancel(h)
			return 0, errBody{err}
		}
		if fill > 0 && lib.insertAppend(h, unsafe.Pointer(&buf[0]), uintptr(fill)) != 0 {
			failure := parseEngineError(lib.insertError(h))
			if failure == nil {
				failure = newEngineError(codeUnknown, "the engine took no more of the insert")
			}
			lib.insertCancel(h)
			return 0, failure
		}
		fill = 0
		if err != nil {
			break
		}
	}
	done := result{lib, lib.insertDone(h)}
	defer done.free()
	if err := done.err(); err != nil {
		return 0, err
	}
	return done.written(), nil
}

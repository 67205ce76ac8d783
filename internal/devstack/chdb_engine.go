package devstack

// The engine of one process on one data folder, and sessions on it.

import (
	"fmt"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"unsafe"
)

// engineError is what the engine said, with ClickHouse's own error code.
type engineError struct {
	Code    int
	Message string
}

// Error is the engine's text, which begins with its code.
func (e *engineError) Error() string { return e.Message }

// Codes that this shim answers with itself, as a ClickHouse server would.
const (
	codeBadArguments     = 36
	codeNotImplemented   = 48
	codeSyntaxError      = 62
	codeUnknownSetting   = 115
	codeReadonly         = 164
	codeTooMany          = 202
	codeNetworkError     = 210
	codeTooLarge         = 307
	codeAuthentication   = 516
	codeUnknown          = 1002
	codeCannotDecompress = 271
)

func newEngineError(code int, format string, args ...any) *engineError {
	return &engineError{Code: code, Message: fmt.Sprintf("Code: %d. DB::Exception: %s", code, fmt.Sprintf(format, args...))}
}

var engineCode = regexp.MustCompile(`Code: (\d+)\.`)

// parseEngineError turns the engine's text into an error; nil for no text.
func parseEngineError(text string) error {
	if text == "" {
		return nil
	}
	e := &engineError{Code: codeUnknown, Message: text}
	if m := engineCode.FindStringSubmatchIndex(text); m != nil {
		e.Code, _ = strconv.Atoi(text[m[2]:m[3]])
		e.Message = text[m[0]:]
	}
	return e
}

// engine is libchdb opened on a data folder.
type engine struct {
	lib    *chdbLibrary
	args   []string // of every connect
	anchor *session // open as long as the engine: the last close would shut it down
}

// openEngine opens the folder with the given server settings. The folder has
// to be locked by the caller; the engine's own refusal only reaches stderr.
func openEngine(lib *chdbLibrary, dir string, settings map[string]string) (*engine, error) {
	e := &engine{lib: lib, args: []string{"clickhouse", "--path=" + dir}}
	for name, value := range settings {
		e.args = append(e.args, "--"+name+"="+value)
	}
	anchor, err := e.connect()
	if err != nil {
		return nil, fmt.Errorf("opening the ClickHouse engine on %s: %w (the reason stands on standard error)", dir, err)
	}
	e.anchor = anchor
	return e, nil
}

// close shuts the engine down. No session may be busy.
func (e *engine) close() {
	e.anchor.close()
	e.lib.shutdown() // its result tells only whether there were tables
}

// connect opens a session. It costs a tenth of a millisecond, so that every
// request has its own: parameters and settings live on it, and requests that
// shared one would get each other's.
func (e *engine) connect() (*session, error) {
	argv := make([]unsafe.Pointer, len(e.args)+1)
	var pin runtime.Pinner
	defer pin.Unpin()
	for i, a := range e.args {
		b := append([]byte(a), 0)
		pin.Pin(&b[0])
		argv[i] = unsafe.Pointer(&b[0])
	}
	pin.Pin(&argv[0])
	handle := e.lib.connect(int32(len(e.args)), unsafe.Pointer(&argv[0]))
	if handle == nil {
		return nil, newEngineError(codeNetworkError, "the engine refused a connection")
	}
	return &session{lib: e.lib, handle: handle, conn: *(*unsafe.Pointer)(handle)}, nil
}

// session is one connection to the engine, for one goroutine and one request.
type session struct {
	lib    *chdbLibrary
	handle unsafe.Pointer // what connect returned
	conn   unsafe.Pointer // what statements take
}

// close ends the session; it must not be running a statement.
func (s *session) close() { s.lib.closeConn(s.handle) }

// parameter is one {name:Type} of a statement, its value in TSV escaping.
type parameter struct{ name, value string }

// call runs fn with a statement's arguments held in place for the time of the call.
func (s *session) call(fn chdbStatement, text, format string, params []parameter) unsafe.Pointer {
	var pin runtime.Pinner
	defer pin.Unpin()
	bytesOf := func(v string) unsafe.Pointer {
		b := append([]byte(v), 0) // never empty, so that it has an address
		pin.Pin(&b[0])
		return unsafe.Pointer(&b[0])
	}
	if len(params) == 0 {
		return fn(s.conn, bytesOf(text), uintptr(len(text)), bytesOf(format), uintptr(len(format)), nil, nil, nil, nil, 0)
	}
	names, values := make([]unsafe.Pointer, len(params)), make([]unsafe.Pointer, len(params))
	nameLens, valueLens := make([]uintptr, len(params)), make([]uintptr, len(params))
	for i, p := range params {
		names[i], nameLens[i] = bytesOf(p.name), uintptr(len(p.name))
		values[i], valueLens[i] = bytesOf(p.value), uintptr(len(p.value))
	}
	pin.Pin(&names[0])
	pin.Pin(&values[0])
	pin.Pin(&nameLens[0])
	pin.Pin(&valueLens[0])
	return fn(s.conn, bytesOf(text), uintptr(len(text)), bytesOf(format), uintptr(len(format)),
		unsafe.Pointer(&names[0]), unsafe.Pointer(&nameLens[0]), unsafe.Pointer(&values[0]), unsafe.Pointer(&valueLens[0]), uintptr(len(params)))
}

// statementClass is what a statement does, by the engine's own parser.
type statementClass uint32

const (
	classRead statementClass = iota
	classWrite
	classGlobal
	classControl
	classUnparsable
)

// classify parses text and returns how many statements it holds and what they do.
func (s *session) classify(text string) (class statementClass, count int) {
	var out struct{ size, count, flags, class uint32 }
	out.size = uint32(unsafe.Sizeof(out))
	b := append([]byte(text), 0)
	var pin runtime.Pinner
	defer pin.Unpin()
	pin.Pin(&b[0])
	pin.Pin(&out)
	s.lib.classify(s.conn, unsafe.Pointer(&b[0]), uintptr(len(text)), nil, 0, unsafe.Pointer(&out))
	return statementClass(out.class), int(out.count)
}

// exec runs a statement that answers nothing.
func (s *session) exec(text string) error {
	r := s.query(text, "TabSeparated", nil)
	defer r.free()
	return r.err()
}

// set changes settings of the session, all or none.
func (s *session) set(settings []parameter) error {
	if len(settings) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("SET ")
	for i, p := range settings {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(p.name + "=" + quoteSQL(p.value))
	}
	return s.exec(b.String())
}

// quoteSQL is v as a string literal.
func quoteSQL(v string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'"
}

// quoteIdentifier is v as an identifier.
func quoteIdentifier(v string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(v) + "`"
}

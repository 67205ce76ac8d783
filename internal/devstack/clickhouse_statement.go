package devstack

// One request with a statement: what it asks for, the settings it brings, how it is run.

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"
)

// statement is one request, taken apart.
type statement struct {
	text     string
	sql      sqlText
	body     io.Reader // rows of an insert whose statement stands in the URL; else nil
	format   string    // for a result without FORMAT clause
	database string
	comment  string // marks its session, so that it can be killed
	settings []parameter
	params   []parameter
	readonly bool // GET: reads only
	buffered bool // nothing may be sent before the end is known
	revision uint64
}

// notSettings are URL parameters that mean something to HTTP, not to the engine.
var notSettings = map[string]bool{
	"query": true, "default_format": true, "database": true, "client_protocol_version": true, "query_id": true,
	"quota_key": true, "user": true, "password": true, "role": true, "compress": true, "decompress": true,
	"wait_end_of_query": true, "buffer_size": true, "stacktrace": true, "close_session": true,
}

var settingName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*$`)

// readStatement takes a request apart; a body that belongs to an INSERT of the
// URL is left unread.
func (h *handler) readStatement(r *http.Request, values url.Values) (*statement, error) {
	if strings.HasPrefix(r.Header.Get("Content-Type"), "multipart/") {
		return nil, newEngineError(codeNotImplemented, "external tables are not supported here; use a subquery or a table")
	}
	st := &statement{
		text:     values.Get("query"),
		format:   values.Get("default_format"),
		database: values.Get("database"),
		comment:  "hookstream:" + newTag(),
		readonly: r.Method == http.MethodGet,
		buffered: values.Get("wait_end_of_query") == "1",
	}
	for header, to := range map[string]*string{"X-ClickHouse-Format": &st.format, "X-ClickHouse-Database": &st.database} {
		if v := r.Header.Get(header); v != "" && *to == "" {
			*to = v
		}
	}
	if st.format == "" {
		st.format = "TabSeparated"
	}
	if v := values.Get("client_protocol_version"); v != "" {
		n, err := strconv.ParseUint(v, 10, 32)
		if err != nil {
			return nil, newEngineError(codeBadArguments, "client_protocol_version is %q; give a number", v)
		}
		st.revision = n
	}
	if err := st.readSettings(h.cfg, values); err != nil {
		return nil, err
	}
	body, err := requestBody(r, values)
	if err != nil {
		return nil, err
	}
	if st.text != "" {
		st.sql = scanSQL(st.text)
		if _, _, ok := st.sql.insertTarget(st.text); ok && !st.readonly {
			st.body = body
			return st, nil
		}
	}
	rest, err := io.ReadAll(io.LimitReader(body, h.cfg.BodyBytes+1))
	if err != nil {
		return nil, newEngineError(codeNetworkError, "reading the statement: %v", err)
	}
	if int64(len(rest)) > h.cfg.BodyBytes {
		return nil, newEngineError(codeTooLarge, "the statement exceeds %d bytes; give INSERT … FORMAT in the URL and the rows in the body", h.cfg.BodyBytes)
	}
	if st.text != "" && len(rest) > 0 {
		st.text += "\n"
	}
	st.text += string(rest)
	st.sql = scanSQL(st.text)
	if st.sql.first == "" {
		return nil, newEngineError(codeSyntaxError, "Syntax error: empty query; give it in the URL parameter `query` or as the body")
	}
	return st, nil
}

// readSettings sorts the URL's parameters into settings and statement
// parameters. Every session says its baseline anew: the engine's own defaults
// differ from it.
func (st *statement) readSettings(cfg ClickHouseConfig, values url.Values) error {
	set := map[string]string{
		"max_memory_usage": strconv.FormatInt(cfg.QueryMemory, 10),
		"async_insert":     "0", // acknowledged is stored
	}
	for key, vs := range values {
		value := vs[len(vs)-1]
		switch {
		case notSettings[key] || strings.HasPrefix(key, "session_"):
		case strings.HasPrefix(key, "param_"):
			st.params = append(st.params, parameter{strings.TrimPrefix(key, "param_"), value})
		case !settingName.MatchString(key):
			return newEngineError(codeUnknownSetting, "Setting %s is neither a builtin setting nor started with the prefix 'SQL_' registered for user-defined settings. (UNKNOWN_SETTING)", key)
		default:
			set[key] = value
		}
	}
	if own := set["log_comment"]; own != "" {
		st.comment = own + " " + st.comment
	}
	set["log_comment"] = st.comment
	for name, value := range set {
		st.settings = append(st.settings, parameter{name, value})
	}
	sort.Slice(st.settings, func(i, j int) bool { return st.settings[i].name < st.settings[j].name })
	return nil
}

// has tells whether the request sets a setting itself.
func (st *statement) has(name string) bool {
	for _, p := range st.settings {
		if p.name == name {
			return true
		}
	}
	return false
}

// statement runs one request.
func (h *handler) statement(w http.ResponseWriter, r *http.Request, values url.Values) {
	st, err := h.readStatement(r, values)
	if err != nil {
		h.fail(w, err)
		return
	}
	rep, err := newReply(w, r, values, st)
	if err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("X-ClickHouse-Server-Display-Name", displayName)
	w.Header().Set("X-ClickHouse-Timezone", h.timezone)
	w.Header().Set("X-ClickHouse-Query-Id", values.Get("query_id"))
	if isHello(st.text) {
		err = rep.write(h.hello(st.revision))
	} else {
		err = h.run(r.Context(), st, rep)
	}
	switch {
	case err == nil:
		err = rep.close()
	case rep.started:
		rep.fail(err)
	default:
		h.fail(w, err)
	}
	if err != nil && r.Context().Err() == nil {
		h.logger.Debug("statement failed", "error", err)
	}
}

// run opens a session for the statement and picks its route.
func (h *handler) run(ctx context.Context, st *statement, rep *reply) error {
	places := h.queries
	if st.body != nil {
		places = h.inserts
	}
	leave, err := enter(ctx, places)
	if err != nil {
		return err
	}
	defer leave()
	defer h.begin(st.comment)()
	s, err := h.engine.connect()
	if err != nil {
		return err
	}
	defer s.close() // also what takes a failed statement off the engine's list
	if err := s.set(st.settings); err != nil {
		return err
	}
	if st.database != "" {
		if err := s.exec("USE " + quoteIdentifier(st.database)); err != nil {
			return err
		}
	}
	if st.body != nil {
		target, format, _ := st.sql.insertTarget(st.text)
		rows, err := s.insert(target, format, st.params, st.body)
		if bad := (errBody{}); errors.As(err, &bad) {
			return newEngineError(codeNetworkError, "the rows ended early, nothing was stored: %v", bad.error)
		}
		rep.wrote(rows)
		return err
	}
	class, count := s.classify(st.text)
	if class != classUnparsable && count > 1 { // unparsable: the engine says best what is wrong
		return newEngineError(codeSyntaxError, "Syntax error (Multi-statements are not allowed): give one statement a request. (SYNTAX_ERROR)")
	}
	if st.readonly && class != classRead && class != classUnparsable {
		return newEngineError(codeReadonly, "Cannot execute query in readonly mode. For queries over HTTP, method GET implies readonly. You should use method POST for modifying queries. (READONLY)")
	}
	if class == classRead {
		// Nobody waits for the answer any more: stop working on it. Writes go on.
		stop := context.AfterFunc(ctx, func() { h.kill(st.comment) })
		defer stop()
		if ctx.Err() != nil {
			return newEngineError(codeNetworkError, "the client left")
		}
	}
	if class == classRead && !st.buffered && streams(st) {
		return runStream(s, st, rep)
	}
	return h.runWhole(s, st, rep, class)
}

// rowFormats can be cut into chunks anywhere between rows: every chunk of
// another format would be a document with head and foot of its own.
var rowFormats = map[string]bool{"native": true, "tabseparated": true, "tsv": true, "csv": true, "jsoneachrow": true, "rowbinary": true}

func streams(st *statement) bool {
	format := st.format
	if st.sql.format != "" {
		format = st.sql.format
	}
	return st.sql.isSelect() && !st.sql.totals && !st.has("extremes") && rowFormats[strings.ToLower(format)]
}

func runStream(s *session, st *statement, rep *reply) error {
	stream, err := s.stream(st.text, st.format, st.params)
	if err != nil {
		return err
	}
	defer stream.close()
	for {
		err := stream.next(rep.write)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (h *handler) runWhole(s *session, st *statement, rep *reply, class statementClass) error {
	if class == classRead && !st.has("max_result_bytes") && !st.has("readonly") { // readonly lets no setting change any more
		limit := []parameter{{"max_result_bytes", strconv.FormatInt(h.cfg.ResultBytes, 10)}, {"result_overflow_mode", "throw"}}
		if err := s.set(limit); err != nil {
			return err
		}
	}
	r := s.query(st.text, st.format, st.params)
	defer r.free()
	if err := r.err(); err != nil {
		return err
	}
	rep.wrote(r.written())
	if b := r.bytes(); len(b) > 0 {
		return rep.write(b)
	}
	return nil
}

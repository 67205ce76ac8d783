package devstack

// The ClickHouse child against the clients that people use.

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/klauspost/compress/zstd"

	"github.com/hookstream/hookstream/schemas/ddl"
)

const testTable = `CREATE TABLE IF NOT EXISTS test.attempts (
  tenant_id LowCardinality(String),
  created_at DateTime64(3,'UTC') CODEC(Delta(8), ZSTD(1)),
  delivery_id String CODEC(ZSTD(1)),
  attempt_no UInt16 CODEC(ZSTD(1)),
  state Enum8('pending'=0,'success'=1,'error'=2,'skipped'=3),
  duration_ms UInt32 CODEC(T64, ZSTD(1)),
  kafka_offset UInt64 CODEC(Delta(8), ZSTD(1)),
  INDEX ix_delivery delivery_id TYPE bloom_filter(0.01) GRANULARITY 4,
  INDEX ix_created created_at TYPE minmax GRANULARITY 1,
  PROJECTION p_offsets (SELECT tenant_id, min(kafka_offset), max(kafka_offset), count() GROUP BY tenant_id),
  PROJECTION p_hour (SELECT toStartOfHour(created_at), count(), countIf(state='success'),
    quantilesTDigest(0.5,0.95,0.99)(duration_ms) GROUP BY toStartOfHour(created_at)),
  PROJECTION p_time (SELECT created_at, tenant_id, state, duration_ms ORDER BY created_at)
) ENGINE = MergeTree
PARTITION BY toMonday(created_at)
ORDER BY (tenant_id, created_at, delivery_id, attempt_no)
TTL toDateTime(created_at) + INTERVAL 97 DAY DELETE
SETTINGS index_granularity = 2048, ttl_only_drop_parts = 1, non_replicated_deduplication_window = 20000`

func makeTable(t testing.TB, conn clickhouse.Conn) {
	t.Helper()
	for _, statement := range []string{
		`CREATE DATABASE IF NOT EXISTS test`, testTable,
		`CREATE VIEW IF NOT EXISTS test.by_hour AS SELECT toStartOfHour(created_at) AS bucket, count() AS attempts,
		 quantilesTDigest(0.5,0.95,0.99)(duration_ms) AS p FROM test.attempts GROUP BY bucket`,
		`CREATE TABLE IF NOT EXISTS test.plain (n UInt64, s String) ENGINE = MergeTree ORDER BY n`,
	} {
		exec1(t, conn, statement)
	}
}

func insertRows(ctx context.Context, conn clickhouse.Conn, first, n int) error {
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO test.attempts (tenant_id, created_at, delivery_id, attempt_no, state, duration_ms, kafka_offset)")
	if err != nil {
		return err
	}
	at := time.Now().UTC().Truncate(time.Hour)
	for i := first; i < first+n; i++ {
		if err := batch.Append(fmt.Sprintf("tenant%d", i%10), at.Add(time.Duration(i%1000)*time.Millisecond),
			fmt.Sprintf("dlv_%020d", i), uint16(1), "success", uint32(i%500), uint64(i)); err != nil {
			return err
		}
	}
	return batch.Send()
}

func count(t testing.TB, conn clickhouse.Conn, query string, args ...any) (n uint64) {
	t.Helper()
	if err := conn.QueryRow(context.Background(), query, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// TestClickHouse runs on one child, as a start costs a second.
func TestClickHouse(t *testing.T) {
	c := startChild(t)
	for _, method := range []struct {
		name   string
		method clickhouse.CompressionMethod
	}{
		{"none", clickhouse.CompressionNone}, {"lz4", clickhouse.CompressionLZ4}, {"zstd", clickhouse.CompressionZSTD},
		{"gzip", clickhouse.CompressionGZIP}, {"deflate", clickhouse.CompressionDeflate}, {"brotli", clickhouse.CompressionBrotli},
	} {
		t.Run("clickhouse-go "+method.name, func(t *testing.T) {
			conn := c.client(t, method.method)
			v, err := conn.ServerVersion()
			if err != nil || v.DisplayName != displayName || v.Revision != 0 || v.Version.Major < 26 {
				t.Fatalf("hello gave %+v, %v", v, err)
			}
			makeTable(t, conn)
			exec1(t, conn, "TRUNCATE TABLE test.attempts")
			if err := insertRows(t.Context(), conn, 0, 50000); err != nil {
				t.Fatal(err)
			}
			if n := count(t, conn, "SELECT count() FROM test.attempts"); n != 50000 {
				t.Fatalf("%d rows", n)
			}
			if n := count(t, conn, "SELECT sum(attempts) FROM test.by_hour"); n != 50000 {
				t.Fatalf("%d rows by the view", n)
			}
			rows, err := conn.Query(t.Context(), "SELECT tenant_id, delivery_id, state, created_at, kafka_offset FROM test.attempts ORDER BY kafka_offset")
			if err != nil {
				t.Fatal(err)
			}
			var n uint64
			for rows.Next() {
				var tenant, id, state string
				var at time.Time
				var offset uint64
				if err := rows.Scan(&tenant, &id, &state, &at, &offset); err != nil {
					t.Fatal(err)
				}
				if offset != n || id != fmt.Sprintf("dlv_%020d", n) || state != "success" || tenant != fmt.Sprintf("tenant%d", n%10) {
					t.Fatalf("row %d is %s %s %s %d", n, tenant, id, state, offset)
				}
				n++
			}
			if err := rows.Err(); err != nil || n != 50000 {
				t.Fatalf("read %d rows: %v", n, err)
			}
			_, err = conn.Query(t.Context(), "SELECT * FROM nowhere")
			if code(err) != 60 {
				t.Fatalf("unknown table: code %d (%v)", code(err), err)
			}
			rows, err = conn.Query(t.Context(), "SELECT number, throwIf(number = 3000000) FROM system.numbers")
			if err == nil {
				for rows.Next() {
				}
				err = rows.Err()
			}
			if code(err) != 395 {
				t.Fatalf("an error after the first rows: code %d (%v)", code(err), err)
			}
		})
	}
	conn := c.client(t, clickhouse.CompressionLZ4)

	t.Run("our schema", func(t *testing.T) {
		migrations, err := ddl.Migrations()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // every statement can be repeated
			for _, m := range migrations {
				for _, statement := range m.Statements(ddl.DefaultEngine) {
					exec1(t, conn, statement)
				}
			}
		}
		if n := count(t, conn, "SELECT count() FROM system.tables WHERE database = ?", ddl.Database); n < 5 {
			t.Fatalf("%d tables and views", n)
		}
	})

	t.Run("token", func(t *testing.T) {
		exec1(t, conn, "TRUNCATE TABLE test.attempts")
		ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"insert_deduplication_token": "v1:t:0:0-999"}))
		for range 2 {
			if err := insertRows(ctx, conn, 0, 1000); err != nil {
				t.Fatal(err)
			}
		}
		c.kill()
		c.start()
		if err := insertRows(ctx, conn, 0, 1000); err != nil {
			t.Fatal(err)
		}
		if n := count(t, conn, "SELECT count() FROM test.attempts"); n != 1000 {
			t.Fatalf("one token three times, once after kill -9: %d rows", n)
		}
	})

	t.Run("parameters", func(t *testing.T) {
		ctx := clickhouse.Context(t.Context(), clickhouse.WithParameters(clickhouse.Parameters{"n": "7", "s": `a'b\\c`, "l": "['x','y']", "t": "attempts"}))
		var n int64
		var s string
		var l []string
		if err := conn.QueryRow(ctx, "SELECT {n:Int64}, {s:String}, {l:Array(String)} FROM test.{t:Identifier} LIMIT 1").Scan(&n, &s, &l); err != nil {
			t.Fatal(err)
		}
		if n != 7 || s != `a'b\c` || len(l) != 2 {
			t.Fatal(n, s, l)
		}
		if n := count(t, conn, "SELECT count() FROM test.attempts WHERE delivery_id = ?", "dlv_00000000000000000007"); n != 1 {
			t.Fatal(n)
		}
	})

	t.Run("settings", func(t *testing.T) {
		ask := func(name string, value any) (got string, err error) {
			ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{name: value}))
			err = conn.QueryRow(ctx, "SELECT toString(getSetting({n:String}))", clickhouse.Named("n", name)).Scan(&got)
			return got, err
		}
		if got, err := ask("max_threads", 3); err != nil || got != "3" {
			t.Fatal(got, err)
		}
		if got, err := ask("log_comment", "it's"); err != nil || !strings.HasPrefix(got, "it's") {
			t.Fatal(got, err)
		}
		if _, err := ask("no_such_setting", 1); code(err) != 115 {
			t.Fatal(err)
		}
		if got := c.ask("SELECT toString(getSetting('async_insert')), toString(getSetting('max_memory_usage'))"); got != "false\t629145600" {
			t.Fatalf("a session begins with %q", got)
		}
		ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"max_execution_time": 1}))
		var n uint64
		if err := conn.QueryRow(ctx, "SELECT count() FROM system.numbers WHERE NOT ignore(sipHash64(number))").Scan(&n); code(err) != 159 {
			t.Fatalf("max_execution_time: %v", err)
		}
	})

	t.Run("cancel", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		const mark = "SELECT count() FROM system.numbers WHERE NOT ignore(sipHash64(number), 'cancel')"
		go func() {
			var n uint64
			done <- conn.QueryRow(ctx, mark).Scan(&n)
		}()
		running := func() string {
			return c.ask("SELECT count() FROM system.processes WHERE query LIKE '%''cancel''%' AND query NOT LIKE '%system.processes%'")
		}
		eventually(t, "the statement runs", func() bool { return running() == "1" })
		cancel()
		if err := <-done; err == nil {
			t.Fatal("a cancelled statement answered")
		}
		eventually(t, "the statement is gone", func() bool { return running() == "0" })
	})

	t.Run("an aborted body stores nothing", func(t *testing.T) {
		exec1(t, conn, "TRUNCATE TABLE test.plain")
		r, w := io.Pipe()
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.addr+"/?query="+url.QueryEscape("INSERT INTO test.plain FORMAT TSV"), r)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("default", testPassword)
		go func() {
			for i := range 200000 {
				if _, err := fmt.Fprintf(w, "%d\trow\n", i); err != nil {
					return
				}
			}
			_ = w.CloseWithError(io.ErrNoProgress)
		}()
		if resp, err := http.DefaultClient.Do(req); err == nil {
			_ = resp.Body.Close()
			t.Fatalf("an aborted request got %s", resp.Status)
		}
		eventually(t, "the insert is gone", func() bool {
			return c.ask("SELECT count() FROM system.processes WHERE query_kind = 'Insert'") == "0"
		})
		if n := count(t, conn, "SELECT count() FROM test.plain"); n != 0 {
			t.Fatalf("%d rows", n)
		}
		// A frame that is cut off while HTTP ends cleanly.
		var zipped bytes.Buffer
		zip := gzip.NewWriter(&zipped)
		_, _ = io.WriteString(zip, strings.Repeat("1\trow\n", 10000))
		_ = zip.Close()
		status, _, body := c.post(url.Values{"query": {"INSERT INTO test.plain FORMAT TSV"}}, bytes.NewReader(zipped.Bytes()[:zipped.Len()-9]), "Content-Encoding", "gzip")
		if status == http.StatusOK || count(t, conn, "SELECT count() FROM test.plain") != 0 {
			t.Fatalf("a truncated gzip body: %d %s", status, body)
		}
	})

	t.Run("requests at once stay apart", func(t *testing.T) {
		var all sync.WaitGroup
		for worker := range 6 {
			all.Go(func() {
				for i := range 60 {
					mine := uint64(worker*1000 + i)
					ctx := clickhouse.Context(t.Context(),
						clickhouse.WithParameters(clickhouse.Parameters{"mine": strconv.FormatUint(mine, 10)}),
						clickhouse.WithSettings(clickhouse.Settings{"max_block_size": 1000 + mine}))
					var param, setting uint64
					if err := conn.QueryRow(ctx, "SELECT {mine:UInt64}, toUInt64(getSetting('max_block_size'))").Scan(&param, &setting); err != nil {
						t.Error(err)
					} else if param != mine || setting != 1000+mine {
						t.Errorf("asked with %d, answered with %d and %d", mine, param, setting)
					}
				}
			})
		}
		all.Wait()
	})

	t.Run("curl", func(t *testing.T) { testCurl(t, c) })
}

// testCurl covers what is sent without a driver.
func testCurl(t *testing.T, c *child) {
	c.ask("TRUNCATE TABLE test.plain")
	gz := func(s string) io.Reader {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, s)
		_ = w.Close()
		return &b
	}
	zst := func(s string) io.Reader {
		w, _ := zstd.NewWriter(nil)
		return bytes.NewReader(w.EncodeAll([]byte(s), nil))
	}
	insert := url.Values{"query": {"INSERT INTO test.plain FORMAT CSV"}}
	for _, tt := range []struct {
		name   string
		query  url.Values
		body   io.Reader
		header []string
		status int
		code   string
		want   string
	}{
		{name: "body", body: strings.NewReader("SELECT 1 AS x FORMAT JSONEachRow"), status: 200, want: `{"x":1}`},
		{name: "url and body", query: url.Values{"query": {"SELECT 1,"}}, body: strings.NewReader("2"), status: 200, want: "1\t2"},
		{name: "json document", body: strings.NewReader("SELECT number FROM numbers(3) FORMAT JSON"), status: 200, want: `"rows": 3`},
		{name: "csv with names, one head", body: strings.NewReader("SELECT number AS n FROM numbers(200000) FORMAT CSVWithNames"), status: 200, want: "\"n\"\n0\n1\n"},
		{name: "show", body: strings.NewReader("SHOW DATABASES"), status: 200, want: "test"},
		{name: "explain", body: strings.NewReader("EXPLAIN SELECT 1"), status: 200, want: "ReadFrom"},
		{name: "column named format", body: strings.NewReader("SELECT format FROM (SELECT 5 AS format)"), status: 200, want: "5"},
		{name: "database", query: url.Values{"database": {"test"}}, body: strings.NewReader("SELECT currentDatabase()"), status: 200, want: "test"},
		{name: "readonly", query: url.Values{"readonly": {"1"}, "max_threads": {"1"}, "database": {"test"}}, body: strings.NewReader("SELECT count() FROM plain FORMAT JSONCompact"), status: 200, want: "data"},
		{name: "readonly write", query: url.Values{"readonly": {"1"}}, body: strings.NewReader("DROP TABLE test.plain"), status: 500, code: "164"},
		{name: "unknown database", query: url.Values{"database": {"no`pe"}}, body: strings.NewReader("SELECT 1"), status: 500, code: "81"},
		{name: "insert csv", query: insert, body: strings.NewReader("1,a\n2,b\n"), status: 200},
		{name: "insert csv.gz", query: insert, body: gz("3,c\n"), header: []string{"Content-Encoding", "gzip"}, status: 200},
		{name: "insert csv.zst", query: insert, body: zst("4,d\n"), header: []string{"Content-Encoding", "zstd"}, status: 200},
		{name: "insert with an unknown encoding", query: insert, body: zst("4,d\n"), header: []string{"Content-Encoding", "snappy"}, status: 500, code: "48"},
		{name: "insert values in the body", query: url.Values{"query": {"INSERT INTO test.plain VALUES"}}, body: strings.NewReader("(5,'e'),(6,'f')"), status: 200},
		{name: "insert all in the body", body: strings.NewReader("INSERT INTO test.plain FORMAT JSONEachRow {\"n\":7,\"s\":\"g;h\"}"), status: 200},
		{name: "insert values all in the body", body: strings.NewReader("INSERT INTO test.plain VALUES (8,'x;y')"), status: 200},
		{name: "insert select", body: strings.NewReader("INSERT INTO test.plain SELECT 9, 'i'"), status: 200},
		{name: "insert of nothing", query: insert, body: http.NoBody, status: 200},
		{name: "insert that does not parse", query: insert, body: strings.NewReader("x,y\n"), status: 500, code: "27"},
		{name: "insert into nowhere", query: url.Values{"query": {"INSERT INTO test.nowhere FORMAT CSV"}}, body: strings.NewReader("1"), status: 500, code: "60"},
		{name: "count", body: strings.NewReader("SELECT count(), sum(n) FROM test.plain"), status: 200, want: "9\t45"},
		{name: "two statements", body: strings.NewReader("SELECT 1; SELECT 2"), status: 500, code: "62"},
		{name: "nonsense", body: strings.NewReader("SELEC 1"), status: 500, code: "62"},
		{name: "nothing", query: url.Values{"default_format": {"CSV"}}, body: strings.NewReader(" -- only this"), status: 500, code: "62"},
		{name: "bad setting name", query: url.Values{"max threads": {"1"}}, body: strings.NewReader("SELECT 1"), status: 500, code: "115"},
		{name: "too large for one answer", body: strings.NewReader("SELECT repeat(char(97 + number % 26), 1000) FROM numbers(200000) FORMAT JSON"), status: 500, code: "396"},
		{name: "the same as rows", body: strings.NewReader("SELECT repeat(char(97 + number % 26), 1000) FROM numbers(200000) FORMAT TSV"), status: 200, want: "xxx"},
		{name: "memory cap", body: strings.NewReader("SELECT length(groupArray(number)) FROM numbers(200000000)"), status: 500, code: "241"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status, header, body := c.post(tt.query, tt.body, tt.header...)
			if status != tt.status || header.Get("X-ClickHouse-Exception-Code") != tt.code {
				t.Fatalf("%d, code %q: %.300s", status, header.Get("X-ClickHouse-Exception-Code"), body)
			}
			if !strings.Contains(body, tt.want) {
				t.Fatalf("%.300q does not hold %q", body, tt.want)
			}
			if tt.code != "" && !strings.HasPrefix(body, "Code: "+tt.code+".") {
				t.Fatalf("%.300s", body)
			}
			if strings.Count(body, "\"n\"\n") > 1 {
				t.Fatal("more than one head")
			}
		})
	}

	get := func(path string, header ...string) (int, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			if header[i] == "Host" {
				req.Host = header[i+1]
			}
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, string(b)
	}
	key := []string{"X-ClickHouse-User", "default", "X-ClickHouse-Key", testPassword}
	for _, tt := range []struct {
		name   string
		path   string
		header []string
		status int
		want   string
	}{
		{"ping", "/ping", nil, 200, "Ok."},
		{"root", "/", nil, 200, "Ok."},
		{"other path", "/play", nil, 404, ""},
		{"no password", "/?query=SELECT+1", nil, 403, "Code: 516."},
		{"wrong password", "/?query=SELECT+1&user=default&password=x", nil, 403, "Code: 516."},
		{"wrong user", "/?query=SELECT+1&user=root&password=" + url.QueryEscape(testPassword), nil, 403, "Code: 516."},
		{"password in the URL", "/?query=SELECT+1&password=" + url.QueryEscape(testPassword), nil, 200, "1\n"},
		{"password in headers", "/?query=SELECT+1", key, 200, "1\n"},
		{"a write by GET", "/?query=" + url.QueryEscape("DROP TABLE test.plain"), key, 500, "Code: 164."},
		{"an insert by GET", "/?query=" + url.QueryEscape("INSERT INTO test.plain FORMAT CSV"), key, 500, "Code: 164."},
		{"a file by GET", "/?query=" + url.QueryEscape("SELECT 1 INTO OUTFILE '/tmp/hookstream-must-not-be'"), key, 500, "Code: 164."},
		{"a web page's request", "/?query=SELECT+1", append([]string{"Sec-Fetch-Site", "cross-site"}, key...), 403, "web pages"},
		{"a web page's fetch", "/?query=SELECT+1", append([]string{"Origin", "https://example.com"}, key...), 403, "web pages"},
		{"a name that points here", "/?query=SELECT+1", append([]string{"Host", "example.com"}, key...), 403, "web pages"},
		{"gzip when asked for", "/?query=SELECT+1&enable_http_compression=1", append([]string{"Accept-Encoding", "gzip"}, key...), 200, "\x1f\x8b"},
	} {
		t.Run("GET "+tt.name, func(t *testing.T) {
			if status, body := get(tt.path, tt.header...); status != tt.status || !strings.HasPrefix(body, tt.want) && !strings.Contains(body, tt.want) {
				t.Fatalf("%d %q", status, body)
			}
		})
	}
}

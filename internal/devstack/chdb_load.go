//go:build (linux || darwin) && !nochdb

package devstack

// Loading libchdb at run time. Build with -tags nochdb for
// a binary that needs no dynamic linker: it has no ClickHouse engine then.

import (
	"fmt"

	"github.com/ebitengine/purego"
)

// loadChdb loads the library and turns its signal handlers off: with them on,
// the first nil dereference that Go would turn into a panic hangs the process.
func loadChdb(path string) (lib *chdbLibrary, err error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("loading the ClickHouse engine: %w", err)
	}
	defer func() {
		if p := recover(); p != nil { // purego panics on a missing symbol
			lib, err = nil, fmt.Errorf("loading the ClickHouse engine %s: it is another version than this program needs: %v", path, p)
		}
	}()
	lib = &chdbLibrary{}
	for name, fn := range map[string]any{
		"chdb_connect":                     &lib.connect,
		"chdb_close_conn":                  &lib.closeConn,
		"chdb_shutdown":                    &lib.shutdown,
		"chdb_set_signal_handlers_enabled": &lib.setSignals,
		"chdb_query_with_params_n":         &lib.query,
		"chdb_stream_query_with_params_n":  &lib.streamQuery,
		"chdb_stream_fetch_result":         &lib.fetch,
		"chdb_stream_cancel_query":         &lib.cancelQuery,
		"chdb_stream_insert_with_params_n": &lib.insert,
		"chdb_stream_append":               &lib.insertAppend,
		"chdb_stream_done":                 &lib.insertDone,
		"chdb_stream_cancel_insert":        &lib.insertCancel,
		"chdb_stream_insert_error":         &lib.insertError,
		"chdb_destroy_insert_stream":       &lib.insertDestroy,
		"chdb_result_buffer":               &lib.resultBuffer,
		"chdb_result_length":               &lib.resultLength,
		"chdb_result_error":                &lib.resultError,
		"chdb_result_rows_written":         &lib.resultWritten,
		"chdb_destroy_query_result":        &lib.resultDestroy,
		"chdb_classify_query_n":            &lib.classify,
	} {
		purego.RegisterLibFunc(fn, handle, name)
	}
	lib.setSignals(0)
	return lib, nil
}

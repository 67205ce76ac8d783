package devstack

// The C functions of libchdb that are used, as Go functions.

import "unsafe"

// chdbLibrary is a loaded libchdb. It is loaded once per process and never unloaded.
type chdbLibrary struct {
	connect    func(argc int32, argv unsafe.Pointer) unsafe.Pointer // nil on failure, the reason on stderr
	closeConn  func(conn unsafe.Pointer)
	shutdown   func() int32
	setSignals func(enabled int32)

	query       chdbStatement
	streamQuery chdbStatement
	fetch       func(conn, stream unsafe.Pointer) unsafe.Pointer
	cancelQuery func(conn, stream unsafe.Pointer)

	insert        chdbStatement
	insertAppend  func(stream, data unsafe.Pointer, n uintptr) int32
	insertDone    func(stream unsafe.Pointer) unsafe.Pointer
	insertCancel  func(stream unsafe.Pointer)
	insertError   func(stream unsafe.Pointer) string
	insertDestroy func(stream unsafe.Pointer)

	resultBuffer  func(result unsafe.Pointer) unsafe.Pointer
	resultLength  func(result unsafe.Pointer) uintptr
	resultError   func(result unsafe.Pointer) string
	resultWritten func(result unsafe.Pointer) uint64
	resultDestroy func(result unsafe.Pointer)

	classify func(conn, sql unsafe.Pointer, n uintptr, database unsafe.Pointer, databaseLen uintptr, out unsafe.Pointer) int32
}

// chdbStatement is the shape of every call that takes a statement: its text, a
// format and the parameters as four parallel arrays.
type chdbStatement func(conn, query unsafe.Pointer, queryLen uintptr, format unsafe.Pointer, formatLen uintptr,
	names, nameLens, values, valueLens unsafe.Pointer, count uintptr) unsafe.Pointer

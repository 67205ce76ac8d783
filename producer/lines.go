package producer

// NDJSON: lines of bounded length, numbered as an editor numbers them.

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
)

// LineTooLongError is a line over the limit; the reader goes on behind it.
type LineTooLongError struct{ Limit int }

func (e *LineTooLongError) Error() string {
	return fmt.Sprintf("line: is longer than %d bytes; send a smaller event", e.Limit)
}

// lineReader reads lines and skips blank ones.
type lineReader struct {
	in    *bufio.Reader
	limit int
	line  int // number of the line last returned, from 1
}

func newLineReader(r io.Reader, limit int) *lineReader {
	return &lineReader{in: bufio.NewReaderSize(r, 64<<10), limit: limit}
}

// next returns a line's own bytes without its ending, a *LineTooLongError for a
// line that was skipped, io.EOF at the end, or the reader's error.
func (l *lineReader) next() ([]byte, error) {
	for {
		var line []byte
		long := false
		var err error
		for {
			var part []byte
			part, err = l.in.ReadSlice('\n')
			if long = long || len(line)+len(part) > l.limit+2; !long {
				line = append(line, part...)
			}
			if !errors.Is(err, bufio.ErrBufferFull) {
				break
			}
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err // the line is not whole
		}
		if len(line) > 0 || long || err == nil {
			l.line++
		}
		line = bytes.TrimSpace(line)
		switch {
		case long, len(line) > l.limit:
			return nil, &LineTooLongError{Limit: l.limit}
		case len(line) > 0:
			return line, nil
		case err != nil:
			return nil, io.EOF
		}
	}
}

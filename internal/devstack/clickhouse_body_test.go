package devstack

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/ClickHouse/ch-go/compress"
	"pgregory.net/rapid"
)

// A body cut off anywhere but between two frames never ends with a plain EOF:
// a plain EOF commits an insert.
func TestFrameReaderNeverTakesACutForAnEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var whole, wire []byte
		ends := map[int]int{0: 0} // wire length → decoded length
		for range rapid.IntRange(1, 4).Draw(t, "frames") {
			w := compress.NewWriter(0, rapid.SampledFrom([]compress.Method{compress.LZ4, compress.ZSTD, compress.None}).Draw(t, "method"))
			data := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "data")
			if err := w.Compress(data); err != nil {
				t.Fatal(err)
			}
			whole, wire = append(whole, data...), append(wire, w.Data...)
			ends[len(wire)] = len(whole)
		}
		cut := rapid.IntRange(0, len(wire)).Draw(t, "cut")
		got, err := readPlain(newFrameReader(bytes.NewReader(wire[:cut])), rapid.IntRange(1, 400).Draw(t, "buffer"))
		if n, clean := ends[cut]; clean {
			if err != nil || !bytes.Equal(got, whole[:n]) {
				t.Fatalf("whole frames: %d bytes of %d, %v", len(got), n, err)
			}
		} else if err == nil {
			t.Fatalf("cut at %d of %d: ended as if whole", cut, len(wire))
		}
	})
}

// readPlain reads until a plain io.EOF, as an insert does.
func readPlain(r io.Reader, size int) (all []byte, err error) {
	buf := make([]byte, size)
	for {
		n, err := r.Read(buf)
		all = append(all, buf[:n]...)
		if err == io.EOF { //nolint:errorlint // plain is the point
			return all, nil
		}
		if err != nil {
			return all, err
		}
	}
}

func TestFrameReaderPassesTheBodysErrorOn(t *testing.T) {
	broken := errors.New("connection reset")
	w := compress.NewWriter(0, compress.LZ4)
	if err := w.Compress([]byte("rows")); err != nil {
		t.Fatal(err)
	}
	r := newFrameReader(io.MultiReader(bytes.NewReader(w.Data), errReader{broken}))
	if _, err := readPlain(r, 100); !errors.Is(err, broken) {
		t.Fatal(err)
	}
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

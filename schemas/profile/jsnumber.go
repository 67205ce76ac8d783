package profile

// Numbers in ECMAScript's Number::toString form.

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
)

// number copies a number.
func (w *jsWriter) number() error {
	n := numberLength(w.src[w.at:])
	if n == 0 {
		return errSyntax
	}
	var err error
	w.out, err = appendJSNumber(w.out, w.src[w.at:w.at+n])
	w.at += n
	return err
}

// numberLength is how many bytes at the start of s are one JSON number; 0 is
// none.
func numberLength(s []byte) int {
	i := 0
	digits := func() bool {
		from := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else if !digits() {
		return 0
	}
	if i < len(s) && s[i] == '.' {
		i++
		if !digits() {
			return 0
		}
	}
	if i < len(s) && s[i]|0x20 == 'e' {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return 0
		}
	}
	return i
}

// exactDigits is the length up to which every integer is a double, so that its
// digits stay as they are.
const exactDigits = 15

// maxExact is 2^53: below it doubles are denser than integers.
const maxExact = 1 << 53

// appendJSNumber writes a valid JSON number as JavaScript writes it. Fractions
// are rounded to the nearest double, as every reader of such numbers does; from
// 2^53 on, where that would make another integer, only what a double holds is
// taken.
func appendJSNumber(dst, literal []byte) ([]byte, error) {
	whole := bytes.TrimPrefix(literal, []byte{'-'})
	if len(whole) <= exactDigits && !bytes.ContainsAny(whole, ".eE") {
		if whole[0] == '0' {
			return append(dst, '0'), nil // JavaScript writes -0 so, too
		}
		return append(dst, literal...), nil
	}
	x, err := strconv.ParseFloat(string(literal), 64)
	if err != nil {
		return dst, fmt.Errorf("has the number %.40s, which is too large for JavaScript", literal)
	}
	mantissa, _, _ := bytes.Cut(bytes.ToLower(whole), []byte{'e'})
	if x == 0 {
		if bytes.ContainsAny(mantissa, "123456789") {
			return dst, fmt.Errorf("has the number %.40s, which is too small for JavaScript", literal)
		}
		return append(dst, '0'), nil
	}
	var buf [40]byte
	text := appendJSFloat(buf[:0], x)
	if math.Abs(x) >= maxExact && !sameDecimal(whole, text) && !sameDecimal(whole, strconv.AppendFloat(nil, x, 'f', 0, 64)) {
		return dst, fmt.Errorf("has the number %.40s, which JavaScript would read as %s; send it as a string", literal, text)
	}
	return append(dst, text...), nil
}

// appendJSFloat is Number::toString of a finite number other than zero: the
// shortest digits that read back as the same double, plain where the point
// lies within 21 digits to its left or 6 zeros to its right.
func appendJSFloat(dst []byte, x float64) []byte {
	if x < 0 {
		dst, x = append(dst, '-'), -x
	}
	var buf [32]byte
	mantissa, exponent, _ := bytes.Cut(strconv.AppendFloat(buf[:0], x, 'e', -1, 64), []byte{'e'})
	digits := append(mantissa[:1:1], mantissa[min(2, len(mantissa)):]...)
	e, _ := strconv.Atoi(string(exponent)) // AppendFloat wrote it
	point := e + 1                         // digits to the left of the point
	zeros := func(n int) {
		for range n {
			dst = append(dst, '0')
		}
	}
	switch k := len(digits); {
	case k <= point && point <= 21:
		dst = append(dst, digits...)
		zeros(point - k)
	case 0 < point && point <= 21:
		dst = append(dst, digits[:point]...)
		dst = append(dst, '.')
		dst = append(dst, digits[point:]...)
	case -6 < point && point <= 0:
		dst = append(dst, '0', '.')
		zeros(-point)
		dst = append(dst, digits...)
	default:
		dst = append(dst, digits[0])
		if k > 1 {
			dst = append(dst, '.')
			dst = append(dst, digits[1:]...)
		}
		dst = append(dst, 'e')
		if e > 0 {
			dst = append(dst, '+')
		}
		dst = strconv.AppendInt(dst, int64(e), 10)
	}
	return dst
}

// sameDecimal reports whether two positive literals are the same number,
// digit by digit; a sign of the second one is not looked at.
func sameDecimal(a, b []byte) bool {
	da, ea := decimal(a)
	db, eb := decimal(bytes.TrimPrefix(b, []byte{'-'}))
	return ea == eb && bytes.Equal(da, db)
}

// decimal is a literal's digits without zeros at either end, and the exponent
// with which they stand right behind the point.
func decimal(s []byte) (digits []byte, exponent int) {
	mantissa, exp, _ := bytes.Cut(bytes.ToLower(s), []byte{'e'})
	exponent, _ = strconv.Atoi(string(exp)) // absent: 0; one too large made no double
	left, right, _ := bytes.Cut(mantissa, []byte{'.'})
	all := append(bytes.Clone(left), right...)
	exponent += len(left)
	trimmed := bytes.TrimLeft(all, "0")
	exponent -= len(all) - len(trimmed)
	return bytes.TrimRight(trimmed, "0"), exponent
}

package delivery

// Faults: why no answer came, as an error kind and in words for the
// endpoint's owner. The words never hold an address, a header or a secret:
// who owns a URL must not learn from them what lies behind it.

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/hookstream/hookstream/delivery/egress"
	"github.com/hookstream/hookstream/schemas"
)

// kindOfFault classifies the error of a round trip or of reading its answer.
func kindOfFault(err error) (kind, words string) {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.Is(err, egress.ErrBlocked):
		return schemas.ErrBlocked, "Destination address not allowed"
	case errors.Is(err, context.DeadlineExceeded):
		return schemas.ErrTimeout, "Connection timeout"
	case errors.As(err, &dns):
		return schemas.ErrDNS, wordsOfDNS(dns)
	case errors.Is(err, syscall.ECONNREFUSED):
		return schemas.ErrRefused, "Connection refused"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL):
		return schemas.ErrRefused, "Host unreachable"
	}
	if words, ok := wordsOfTLS(err); ok {
		return schemas.ErrTLS, words
	}
	text := err.Error()
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return schemas.ErrTimeout, "Connection timeout"
	case strings.Contains(text, "server response headers exceeded"), strings.Contains(text, "header list larger"), strings.Contains(text, "header list too large"),
		strings.Contains(text, "too many 1xx"), strings.Contains(text, "suspiciously long trailer"):
		return schemas.ErrTooLarge, "Response headers too large"
	case strings.Contains(text, "malformed"), strings.Contains(text, "invalid header"), strings.Contains(text, "Content-Length"), strings.Contains(text, "chunk"),
		strings.Contains(text, "transfer encoding"), strings.Contains(text, "PROTOCOL_ERROR"), strings.Contains(text, "FLOW_CONTROL_ERROR"), strings.Contains(text, "FRAME_SIZE_ERROR"):
		return schemas.ErrReset, "Answer is not valid HTTP"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return schemas.ErrReset, "Connection closed before a complete answer"
	}
	return schemas.ErrReset, "Connection broken"
}

func wordsOfDNS(err *net.DNSError) string {
	switch {
	case err.IsNotFound:
		return "DNS lookup failed: no such host"
	case err.IsTimeout:
		return "DNS lookup failed: timeout"
	}
	return "DNS lookup failed"
}

func wordsOfTLS(err error) (string, bool) {
	var (
		unknown  x509.UnknownAuthorityError
		hostname x509.HostnameError
		invalid  x509.CertificateInvalidError
		verify   *tls.CertificateVerificationError
		record   tls.RecordHeaderError
		alert    tls.AlertError
	)
	switch {
	case errors.As(err, &hostname):
		return "TLS certificate is for another host name", true
	case errors.As(err, &unknown):
		return "TLS certificate is not signed by a trusted authority", true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "TLS certificate has expired or is not yet valid", true
	case errors.As(err, &invalid), errors.As(err, &verify):
		return "TLS certificate is not valid", true
	case errors.As(err, &record), strings.Contains(err.Error(), "HTTP response to HTTPS client"):
		return "TLS handshake failed: the server does not speak TLS here", true
	case errors.As(err, &alert), strings.Contains(err.Error(), "tls: "):
		return "TLS handshake failed", true
	}
	return "", false
}

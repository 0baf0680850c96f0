// SPDX-License-Identifier: Apache-2.0

//go:build !go1.24

package main

import "net/http"

// The standard library of this Go speaks HTTP/2 over TLS only.
func speakH2C(*http.Transport) bool {
	return false
}

// SPDX-License-Identifier: Apache-2.0

//go:build go1.24

package main

import "net/http"

func speakH2C(t *http.Transport) bool {
	t.Protocols = new(http.Protocols)
	t.Protocols.SetUnencryptedHTTP2(true)
	return true
}

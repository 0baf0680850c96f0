// SPDX-License-Identifier: Apache-2.0

// Package tools only keeps the module of the Gateway API in go.mod: the
// tests take its CRDs from the module cache.
package tools

import _ "sigs.k8s.io/gateway-api/apis/v1"

// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

func init() {
	add("Changes", "What changes in a route is in force in each sidecar after a second",
		"changes", testChanges)
	add("TCPRoute", "A TCPRoute decides where connections go", "tcp", testTCPRoute)
	add("TLSRoute", "A TLSRoute decides by the server name where the app's own TLS goes",
		"tls", testTLSRoute)
}

const soon = time.Second

func testChanges(t *testing.T, s *suite.ConformanceTestSuite) {
	callers := []caller{mesh(t, s), callerIn(t, s, consumer)}
	ask := request{host: "changes." + namespace}
	for _, from := range callers {
		probe{"", ask, answer{backend: "v1"}}.mustHold(t, from)
	}
	// A request that starts too late must not be answered by another.
	follows := func(t *testing.T, changed time.Time, want answer) {
		t.Helper()
		for _, from := range callers {
			for {
				started := time.Since(changed)
				got, err := from.send(ask, 1)
				require.NoError(t, err)
				if err = want.fits(got[0]); err == nil {
					t.Logf("%s: in force at the latest after %s", from.namespace, time.Since(changed))
					break
				}
				require.Lessf(t, started, soon, "%v", err)
			}
			got, err := from.send(ask, inARow)
			require.NoError(t, err)
			for _, a := range got {
				require.NoError(t, want.fits(a))
			}
		}
	}
	change := func(t *testing.T, spec string) time.Time {
		t.Helper()
		r, err := routeOf(s, "HTTPRoute", namespace, "changes")
		require.NoError(t, err)
		patch(t, s, r, fmt.Sprintf(`{"spec":{"rules":[%s]}}`, spec))
		return time.Now()
	}
	for i := range 6 {
		version := []string{"v2", "v1"}[i%2]
		t.Run("weights to "+version, func(t *testing.T) {
			changed := change(t, fmt.Sprintf(`{"backendRefs":[{"name":"v1","port":80,"weight":%d},`+
				`{"name":"v2","port":80,"weight":%d}]}`, i%2, 1-i%2))
			follows(t, changed, answer{backend: version})
		})
	}
	t.Run("a backend that is not there", func(t *testing.T) {
		changed := change(t, `{"backendRefs":[{"name":"nowhere","port":80}]}`)
		follows(t, changed, answer{status: 500, refusal: "invalid-backend"})
	})
	t.Run("a match", func(t *testing.T) {
		changed := change(t, `{"matches":[{"path":{"value":"/other"}}]}`)
		follows(t, changed, answer{status: 404, refusal: "no-route"})
	})
	t.Run("no route any more", func(t *testing.T) {
		r, err := routeOf(s, "HTTPRoute", namespace, "changes")
		require.NoError(t, err)
		require.NoError(t, s.Client.Delete(t.Context(), r.object))
		follows(t, time.Now(), answer{})
	})
}

func testTCPRoute(t *testing.T, s *suite.ConformanceTestSuite) {
	from := mesh(t, s)
	tcp := func(host string) request { return request{scheme: "tcp", host: host + ":9090"} }
	expect(t, from, "", []probe{
		{"one backend", tcp("tcp-one"), answer{backend: "v2"}},
		{"a weight of 0", tcp("tcp-zero"), answer{backend: "v3"}},
	})
	t.Run("weights", func(t *testing.T) {
		expectShares(t, from, tcp("tcp-split"), map[string]int{"200 v1": 70, "200 v2": 30})
	})
	t.Run("a backend that is not there", func(t *testing.T) {
		_, err := from.send(tcp("tcp-nowhere"), 1)
		require.Error(t, err)
	})
}

func testTLSRoute(t *testing.T, s *suite.ConformanceTestSuite) {
	tls := func(name string) request {
		return request{scheme: "https", host: "tls", path: "/x",
			flags: []string{"--insecure-skip-verify", "--server-name=" + name}}
	}
	from := mesh(t, s)
	expect(t, from, "", []probe{
		{"server name", tls("one.example"), answer{backend: "v1", path: "/x"}},
		{"another server name", tls("two.example"), answer{backend: "v2"}},
		{"pattern", tls("any.three.example"), answer{backend: "v3"}},
	})
	t.Run("a server name that no route has", func(t *testing.T) {
		_, err := from.send(tls("four.example"), 1)
		require.Error(t, err)
	})
}

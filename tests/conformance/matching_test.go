// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

func init() {
	add("EachRequest", "Not one of many requests goes where the route does not say",
		"each-request", testEachRequest)
	add("MethodMatching", "An HTTPRoute matches by method", "method-matching", testMethods)
	add("RegularExpressions", "An HTTPRoute matches paths, header fields and query parameters "+
		"by regular expressions, which have to match all of the value", "regular-expressions",
		testRegularExpressions)
	add("Precedence", "Rules of several HTTPRoutes of one Service are one list in the order that "+
		"the API gives them", "precedence", testPrecedence)
	add("GRPCMatching", "A GRPCRoute matches service, method and header fields", "grpc-matching",
		testGRPCMatching)
}

// The suite's tests of these ask until they were lucky.
func testEachRequest(t *testing.T, s *suite.ConformanceTestSuite) {
	from := mesh(t, s)
	expect(t, from, "each-request", []probe{
		{"exact path", request{path: "/v1"}, answer{backend: "v1"}},
		{"other exact path", request{path: "/v2"}, answer{backend: "v2"}},
		{"prefix", request{path: "/p/anything?x=/v1"}, answer{backend: "v3"}},
		{"header", request{path: "/h", headers: map[string]string{"version": "two"}}, answer{backend: "v2"}},
		{"query", request{path: "/q?version=one"}, answer{backend: "v1"}},
		{"named rule", request{path: "/named"}, answer{backend: "v3"}},
		{"nothing matches", request{path: "/v1/more"}, answer{status: 404, refusal: "no-route"}},
		{"header of another value", request{path: "/h", headers: map[string]string{"version": "twoo"}},
			answer{status: 404, refusal: "no-route"}},
	})
	t.Run("without a route all pods are asked", func(t *testing.T) {
		expectAll(t, from, "no-route")
	})
	t.Run("weights", func(t *testing.T) {
		expectShares(t, from, request{host: "each-request", path: "/split"},
			map[string]int{"200 v1": 70, "200 v2": 30})
	})
}

func testMethods(t *testing.T, s *suite.ConformanceTestSuite) {
	expect(t, mesh(t, s), "method-matching", []probe{
		{"POST", request{method: "POST"}, answer{backend: "v1", method: "POST"}},
		{"GET", request{}, answer{backend: "v2", method: "GET"}},
		{"DELETE", request{method: "DELETE", path: "/any"}, answer{backend: "v3", method: "DELETE"}},
		{"a method that no rule has", request{method: "PUT"}, answer{status: 404, refusal: "no-route"}},
		{"a longer path beats a method", request{method: "POST", path: "/longer/x"}, answer{backend: "v3"}},
		{"path and method", request{method: "PATCH", path: "/longer"}, answer{backend: "v2"}},
	})
}

func testRegularExpressions(t *testing.T, s *suite.ConformanceTestSuite) {
	user := func(value string) request {
		return request{path: "/header", headers: map[string]string{"x-user": value}}
	}
	expect(t, mesh(t, s), "regular-expressions", []probe{
		{"header", user("alice17"), answer{backend: "v1"}},
		{"alternative of the header", user("bob1"), answer{backend: "v1"}},
		{"only a part of the header", user("xalice17"), answer{backend: "v2"}},
		{"only the header's beginning", user("alice17x"), answer{backend: "v2"}},
		{"header's case", user("Alice17"), answer{backend: "v2"}},
		{"query", request{path: "/query?id=0042&x=y"}, answer{backend: "v2"}},
		{"query, other order", request{path: "/query?x=y&id=7"}, answer{backend: "v2"}},
		{"only a part of the query", request{path: "/query?id=42a"}, answer{status: 404}},
		{"query is decoded", request{path: "/query?name=a%20b"}, answer{backend: "v1"}},
		{"path", request{path: "/items/17/edit"}, answer{backend: "v3"}},
		{"only a part of the path", request{path: "/items/17/edit/more"}, answer{status: 404}},
		{"path without query", request{path: "/items/17/edit?x=1"}, answer{backend: "v3"}},
	})
}

func testPrecedence(t *testing.T, s *suite.ConformanceTestSuite) {
	header := func(path string, names ...string) request {
		r := request{path: path, headers: map[string]string{}}
		for _, name := range names {
			r.headers[name] = "x"
		}
		return r
	}
	expect(t, mesh(t, s), "precedence", []probe{
		{"exact before prefix", request{path: "/a"}, answer{backend: "v1"}},
		{"longer prefix before shorter", request{path: "/a/b/c"}, answer{backend: "v2"}},
		{"shorter prefix", request{path: "/a/c"}, answer{backend: "v3"}},
		{"prefix ends at a slash", request{path: "/a/bc"}, answer{backend: "v3"}},
		{"method before header fields", header("/m", "h1", "h2"), answer{backend: "v2"}},
		{"more header fields before fewer", header("/h", "h1", "h2"), answer{backend: "v2"}},
		{"fewer header fields", header("/h", "h2"), answer{backend: "v1"}},
		{"header fields before query", header("/q?a=1&b=2", "h1"), answer{backend: "v1"}},
		{"more parameters before fewer", request{path: "/q?a=1&b=2"}, answer{backend: "v3"}},
		{"same: first rule of a route", request{path: "/rules"}, answer{backend: "v1"}},
		{"same: route that comes first", request{path: "/routes"}, answer{backend: "v2"}},
		{"exact of a later route before prefix of an earlier one", request{path: "/later"},
			answer{backend: "v3"}},
	})
	t.Run("same: older route, whatever its name", func(t *testing.T) {
		older, err := routeOf(s, "HTTPRoute", namespace, "precedence-b")
		require.NoError(t, err)
		// The API tells ages in seconds.
		eventually(t, func() error {
			if time.Since(older.object.GetCreationTimestamp().Time) < 2*time.Second {
				return errors.New("not yet of another second")
			}
			return nil
		})
		s.Applier.MustApplyWithCleanup(t, s.Client, s.TimeoutConfig,
			"manifests/precedence-younger.yaml", s.CleanupTestResources)
		expect(t, mesh(t, s), "precedence", []probe{
			{"younger", request{path: "/younger"}, answer{backend: "v2"}},
			{"both", request{path: "/age"}, answer{backend: "v1"}},
		})
	})
}

func testGRPCMatching(t *testing.T, s *suite.ConformanceTestSuite) {
	from := mesh(t, s)
	call := func(headers map[string]string) request {
		return request{scheme: "grpc", host: "grpc-matching:7070", headers: headers}
	}
	expect(t, from, "", []probe{
		{"method", call(nil), answer{backend: "v2"}},
		{"header", call(map[string]string{"version": "three"}), answer{backend: "v3"}},
		{"header, regular expression", call(map[string]string{"version": "on1ee"}), answer{backend: "v1"}},
		{"regular expression of the method", request{scheme: "grpc", host: "grpc-regular:7070"},
			answer{backend: "v3"}},
	})
	for _, x := range []struct{ name, host, want string }{
		{"no method matches", "grpc-none:7070", "Unimplemented"},
		{"backend that is not there", "grpc-invalid:7070", "Unavailable"},
	} {
		t.Run(x.name, func(t *testing.T) {
			mustFailWith(t, from, request{scheme: "grpc", host: x.host}, x.want)
		})
	}
}

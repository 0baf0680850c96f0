// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

func init() {
	add("HeaderModifiers", "Header fields of requests and responses are set, added and removed, "+
		"for a rule and for a backend", "header-modifiers", testHeaderModifiers)
	add("BackendFilters", "A backend's filters apply to its own share of a rule's requests only",
		"backend-filters", testBackendFilters)
	add("RewriteAndRedirect", "Paths and hosts are rewritten, or the client is sent elsewhere",
		"rewrite", testRewrite)
	add("CORS", "A CORS filter answers preflights and marks responses, for allowed origins",
		"cors", testCORS)
	add("GRPCFilters", "Filters of a GRPCRoute change metadata, for a rule and for a backend",
		"grpc-filters", testGRPCFilters)
	add("UnknownFilter", "A filter that can't be carried out is never skipped: its rule answers 500",
		"unknown-filter", testUnknownFilter)
}

// A backend sends back the response header fields that it is asked for.
const giveFields = "?headers=x-old:old,x-kept:kept,x-more:one"

func testHeaderModifiers(t *testing.T, s *suite.ConformanceTestSuite) {
	headers := map[string]string{"x-old": "old", "x-kept": "kept", "x-more": "one"}
	changed := map[string]string{"x-old": "", "x-kept": "kept", "x-more": "one,two", "x-new": "new"}
	unchanged := map[string]string{"x-old": "old", "x-kept": "kept", "x-more": "one", "x-new": ""}
	expect(t, mesh(t, s), "header-modifiers", []probe{
		{"request", request{path: "/request" + giveFields, headers: headers},
			answer{backend: "v1", seen: changed, carries: unchanged}},
		{"response", request{path: "/response" + giveFields, headers: headers},
			answer{backend: "v1", seen: unchanged, carries: changed}},
		{"both, of a backend", request{path: "/backend" + giveFields, headers: headers},
			answer{backend: "v2", seen: changed, carries: changed}},
		{"rule and backend together", request{path: "/together" + giveFields, headers: headers},
			answer{backend: "v2", seen: map[string]string{"x-rule": "rule", "x-backend": "backend", "x-old": "old"},
				carries: map[string]string{"x-rule": "rule", "x-backend": "backend", "x-old": "old"}}},
		{"set beats what the client sent", request{path: "/set", headers: map[string]string{"X-Set": "mine"}},
			answer{seen: map[string]string{"x-set": "theirs"}}},
		{"Host of a request can be set", request{path: "/set"}, answer{host: "other.example"}},
		{"where no rule says so, nothing changes", request{path: "/plain" + giveFields, headers: headers},
			answer{backend: "v3", seen: unchanged, carries: unchanged}},
	})
}

func testBackendFilters(t *testing.T, s *suite.ConformanceTestSuite) {
	from := mesh(t, s)
	r := request{host: "backend-filters", path: "/"}
	expectShares(t, from, r, map[string]int{"200 v1": 50, "200 v2": 50})
	answers, err := from.send(r, 100)
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range answers {
		for _, fields := range []map[string][]string{a.RequestHeaders, a.ResponseHeaders} {
			if err := fieldsFit("", fields, map[string]string{"X-Backend": a.Hostname[:2]}); err != nil {
				t.Errorf("request %d, answered by %s:%v", i+1, a.Hostname, err)
			}
		}
	}
}

func testRewrite(t *testing.T, s *suite.ConformanceTestSuite) {
	to := func(status int, location string) answer {
		return answer{status: status, carries: map[string]string{"Location": location}}
	}
	expect(t, mesh(t, s), "rewrite", []probe{
		{"full path", request{path: "/full/of/it?a=b"}, answer{backend: "v1", path: "/whole?a=b"}},
		{"prefix", request{path: "/prefix/of/it?a=b"}, answer{backend: "v1", path: "/other/of/it?a=b"}},
		{"prefix to root", request{path: "/root/of/it"}, answer{backend: "v1", path: "/of/it"}},
		{"prefix alone", request{path: "/root"}, answer{backend: "v1", path: "/"}},
		{"host", request{path: "/host"}, answer{backend: "v2", host: "elsewhere.example"}},
		{"redirect", request{path: "/to/this?a=b"}, to(302, "http://rewrite/that/this?a=b")},
		{"redirect, all of it", request{path: "/away/x"}, to(301, "https://away.example:8443/there")},
		{"redirect keeps the port that was asked", request{host: "rewrite:8080", path: "/to/this"},
			to(302, "http://rewrite:8080/that/this")},
	})
}

func testCORS(t *testing.T, s *suite.ConformanceTestSuite) {
	preflight := func(origin string) request {
		return request{method: "OPTIONS", path: "/", headers: map[string]string{
			"Origin": origin, "Access-Control-Request-Method": "PUT",
			"Access-Control-Request-Headers": "x-one"}}
	}
	none := map[string]string{"Access-Control-Allow-Origin": ""}
	expect(t, mesh(t, s), "cors", []probe{
		{"preflight", preflight("https://shop.example"), answer{status: 204, carries: map[string]string{
			"Access-Control-Allow-Origin": "https://shop.example", "Access-Control-Allow-Methods": "GET, PUT",
			"Access-Control-Allow-Headers": "x-one, x-two", "Access-Control-Max-Age": "60",
			"Access-Control-Allow-Credentials": "true"}}},
		{"preflight by pattern", preflight("https://a.b.pages.example"), answer{status: 204, carries: map[string]string{
			"Access-Control-Allow-Origin": "https://a.b.pages.example"}}},
		{"preflight of another origin", preflight("https://shop.example.evil.example"),
			answer{status: 204, carries: none}},
		{"request", request{headers: map[string]string{"Origin": "https://shop.example"}},
			answer{backend: "v1", carries: map[string]string{
				"Access-Control-Allow-Origin": "https://shop.example", "Access-Control-Expose-Headers": "x-three",
				"Access-Control-Allow-Credentials": "true"}}},
		{"request of another origin", request{headers: map[string]string{"Origin": "http://shop.example"}},
			answer{backend: "v1", carries: none}},
		{"request without an origin", request{}, answer{backend: "v1", carries: none}},
		{"OPTIONS that is no preflight", request{method: "OPTIONS"}, answer{backend: "v1", method: "OPTIONS"}},
	})
}

func testUnknownFilter(t *testing.T, s *suite.ConformanceTestSuite) {
	expect(t, mesh(t, s), "unknown-filter", []probe{
		{"extension", request{path: "/extension"}, answer{status: 500, refusal: "invalid-filter"}},
		{"the other rule", request{path: "/"}, answer{backend: "v1"}},
	})
}

func testGRPCFilters(t *testing.T, s *suite.ConformanceTestSuite) {
	call := func(host string) request {
		return request{scheme: "grpc", host: host + ":7070",
			headers: map[string]string{"x-old": "old", "x-kept": "kept"}}
	}
	changed := map[string]string{"x-old": "", "x-kept": "kept", "x-new": "new"}
	expect(t, mesh(t, s), "", []probe{
		{"rule", call("grpc-filters"), answer{backend: "v1", seen: changed,
			carries: map[string]string{"x-new": "new"}}},
		{"backend", call("grpc-backend-filters"), answer{backend: "v2", seen: changed,
			carries: map[string]string{"x-new": "new"}}},
	})
}

// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

func init() {
	add("BackendRefs", "Backends that are left out, invalid or without a weight get the share "+
		"of requests that is theirs, as errors", "backend-refs", testBackendRefs)
	add("Frontends", "A route applies to the address of its parent, with or without pods behind it, "+
		"and to nothing else", "frontends", testFrontends)
	add("ConsumerRoutes", "Clients in a namespace with consumer routes follow these alone, "+
		"all others the producer's", "consumer-routes", testConsumerRoutes)
	add("Identity", "The server learns the verified identity of its client, whatever the client says",
		"identity", testIdentity)
}

func testBackendRefs(t *testing.T, s *suite.ConformanceTestSuite) {
	from := mesh(t, s)
	invalid := answer{status: 500, refusal: "invalid-backend"}
	expect(t, from, "backend-refs", []probe{
		{"left out", request{path: "/none"}, answer{status: 500, refusal: "no-backends"}},
		{"all of weight 0", request{path: "/zero"}, answer{status: 500, refusal: "no-backends"}},
		{"not there", request{path: "/nowhere"}, invalid},
		{"not there in another namespace", request{path: "/elsewhere"}, invalid},
		{"port that is not there", request{path: "/port"}, invalid},
		{"of another kind", request{path: "/kind"}, invalid},
		{"ExternalName", request{path: "/external"}, invalid},
		{"without pods", request{path: "/empty"}, answer{status: 503, refusal: "no-endpoints"}},
		{"invalid, with weight 0", request{path: "/healed"}, answer{backend: "v1"}},
		{"in another namespace", request{path: "/across"}, answer{backend: "client"}},
		{"redirect without backends", request{path: "/redirect"}, answer{status: 302}},
	})
	t.Run("half of the weight is invalid", func(t *testing.T) {
		expectShares(t, from, request{host: "backend-refs", path: "/half"},
			map[string]int{"200 v1": 50, "500": 50})
	})
	t.Run("a quarter of the weight has no pods", func(t *testing.T) {
		expectShares(t, from, request{host: "backend-refs", path: "/quarter"},
			map[string]int{"200 v1": 75, "503": 25})
	})
}

func testFrontends(t *testing.T, s *suite.ConformanceTestSuite) {
	from := mesh(t, s)
	address := func(name string) string {
		var service corev1.Service
		require.NoError(t, s.Client.Get(context.Background(),
			types.NamespacedName{Namespace: namespace, Name: name}, &service))
		return service.Spec.ClusterIP
	}
	v3 := podOf(t, s, namespace, "version", "v3")
	expect(t, from, "", []probe{
		{"without a selector", request{host: "frontend-bare"}, answer{backend: "v1"}},
		{"without a selector, no rule matches", request{host: "frontend-bare", path: "/not"},
			answer{status: 404, refusal: "no-route"}},
		{"with endpoints of its own", request{host: "frontend-slice"}, answer{backend: "v2"}},
		{"by its address", request{host: address("frontend-bare")}, answer{backend: "v1"}},
		{"whatever Host says", request{host: "frontend-bare", headers: map[string]string{"Host": "v3"}},
			answer{backend: "v1", host: "v3"}},
		{"Host alone is not enough", request{host: "v3", headers: map[string]string{"Host": "frontend-bare"}},
			answer{backend: "v3"}},
		{"hostnames decide nothing", request{host: "frontend-hostnames"}, answer{backend: "v1"}},
		{"the address of a pod", request{host: v3.Status.PodIP + ":8080"},
			answer{backend: "v3", carries: map[string]string{"x-routed": ""}}},
		{"NodePort Service", request{host: "frontend-node"}, answer{backend: "v2"}},
		{"parentRef of group core", request{host: "frontend-core"}, answer{backend: "v3"}},
		{"an HTTPRoute beats a TCPRoute", request{host: "frontend-kinds"}, answer{backend: "v1"}},
		{"the TCPRoute adds nothing", request{host: "frontend-kinds", path: "/else"},
			answer{status: 404, refusal: "no-route"}},
		{"the port of the parentRef", request{host: "frontend-ports:81"}, answer{backend: "v1"}},
		{"the section of the parentRef", request{host: "frontend-ports:82"}, answer{backend: "v2"}},
	})
	t.Run("a port without a route", func(t *testing.T) {
		expectAll(t, from, "frontend-ports")
	})
}

func testConsumerRoutes(t *testing.T, s *suite.ConformanceTestSuite) {
	producers, consumers := mesh(t, s), callerIn(t, s, consumer)
	host := func(name string) string { return name + "." + namespace }
	t.Run("client of the producer's namespace", func(t *testing.T) {
		expect(t, producers, host("both"), []probe{
			{"producer's rule", request{path: "/"}, answer{backend: "v1"}},
			{"rule that both have", request{path: "/shared"}, answer{backend: "v1"}},
			{"consumer's rule does not count", request{path: "/mine"}, answer{backend: "v1"}},
		})
	})
	t.Run("client of the consumer's namespace", func(t *testing.T) {
		expect(t, consumers, host("both"), []probe{
			{"consumer's rule", request{path: "/mine"}, answer{backend: "v2"}},
			{"rule that both have", request{path: "/shared"}, answer{backend: "v3"}},
			{"producer's rule does not count", request{path: "/"}, answer{status: 404, refusal: "no-route"}},
		})
	})
	t.Run("only a consumer route", func(t *testing.T) {
		probe{"", request{host: host("consumed")}, answer{backend: "v2"}}.mustHold(t, consumers)
		expectAll(t, producers, host("consumed"))
	})
	t.Run("only a producer route", func(t *testing.T) {
		for _, from := range []caller{producers, consumers} {
			probe{"", request{host: host("produced")}, answer{backend: "v3"}}.mustHold(t, from)
		}
	})
	t.Run("only the first level of routes counts", func(t *testing.T) {
		// Its backend is the Service produced, whose own route leads to v3.
		expectAll(t, producers, host("chained"))
	})
}

func testIdentity(t *testing.T, s *suite.ConformanceTestSuite) {
	id := func(ns, account string) string {
		return fmt.Sprintf("URI=spiffe://cluster.local/ns/%s/sa/%s", ns, account)
	}
	seen := func(value string) answer {
		return answer{backend: "v1", seen: map[string]string{"x-forwarded-client-cert": value}}
	}
	forged := map[string]string{"x-forwarded-client-cert": "URI=spiffe://cluster.local/ns/x/sa/admin"}
	host := "identity." + namespace
	expect(t, mesh(t, s), host, []probe{
		{"service account of its own", request{}, seen(id(namespace, "client"))},
		{"forged", request{headers: forged}, seen(id(namespace, "client"))},
		{"no route", request{host: "v1." + namespace}, seen(id(namespace, "client"))},
	})
	expect(t, callerIn(t, s, consumer), host, []probe{
		{"another namespace", request{}, seen(id(consumer, "default"))},
	})
}

// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

func init() {
	add("Mirrors", "Requests are copied to mirrors, all or a share of them, and no answer of a "+
		"mirror reaches the client", "mirrors", testMirrors)
	add("Timeouts", "A request, or one try of it, that takes too long is answered 504",
		"timeouts", testTimeouts)
	add("Retries", "A request is tried again as often as the rule says, for the statuses that it "+
		"names", "retries", testRetries)
	add("ApplicationProtocols", "A backend gets the protocol that its Service declares",
		"protocols", testProtocols)
	add("WebSocket", "WebSocket connections follow the routes", "websocket", testWebSocket)
}

// logged counts the requests of a path in the log of a version's pod.
func logged(t *testing.T, s *suite.ConformanceTestSuite, version, path string) int {
	t.Helper()
	pod := podOf(t, s, namespace, "version", version)
	log, err := s.Clientset.CoreV1().Pods(namespace).
		GetLogs(pod.Name, &corev1.PodLogOptions{Container: "echo"}).DoRaw(context.Background())
	require.NoError(t, err)
	n := 0
	for line := range strings.SplitSeq(string(log), "\n") {
		if strings.Contains(line, " Request") && strings.Contains(line, "url="+path) {
			n++
		}
	}
	return n
}

// unique makes a path that no other run of this test has asked for.
func unique(path string) string {
	return fmt.Sprintf("%s/%d", path, time.Now().UnixNano())
}

// mustBeLogged waits for a number of requests, of which none may be too many.
func mustBeLogged(t *testing.T, s *suite.ConformanceTestSuite, version, path string, want int) {
	t.Helper()
	eventually(t, func() error {
		if got := logged(t, s, version, path); got < want {
			return fmt.Errorf("%d requests of %s at %s, expected %d", got, path, version, want)
		}
		return nil
	})
	require.Equalf(t, want, logged(t, s, version, path), "requests of %s at %s", path, version)
}

func testMirrors(t *testing.T, s *suite.ConformanceTestSuite) {
	from := mesh(t, s)
	send := func(t *testing.T, prefix string, count int) string {
		t.Helper()
		r := request{host: "mirrors", path: prefix}
		probe{"", r, answer{backend: "v1"}}.mustHold(t, from)
		r.path = unique(prefix)
		answers, err := from.send(r, count)
		require.NoError(t, err)
		for _, a := range answers {
			require.NoError(t, answer{backend: "v1", path: r.path}.fits(a))
		}
		return r.path
	}
	var none string
	t.Run("no request", func(t *testing.T) { none = send(t, "/none", 50) })
	t.Run("all requests", func(t *testing.T) {
		path := send(t, "/all", 50)
		mustBeLogged(t, s, "v2", path, 50)
	})
	t.Run("all requests to two mirrors", func(t *testing.T) {
		path := send(t, "/two", 50)
		mustBeLogged(t, s, "v2", path, 50)
		mustBeLogged(t, s, "v3", path, 50)
	})
	for _, x := range []struct {
		name, prefix string
		want         int
	}{{"half of the requests", "/half", 200}, {"a fraction of the requests", "/fraction", 100}} {
		t.Run(x.name, func(t *testing.T) {
			path := send(t, x.prefix, 400)
			last := send(t, "/all", 1)
			mustBeLogged(t, s, "v2", last, 1)
			// Five standard deviations.
			require.InDelta(t, x.want, logged(t, s, "v2", path), 50)
		})
	}
	t.Run("a mirror that fails", func(t *testing.T) {
		probe{"", request{host: "mirrors", path: "/nowhere"}, answer{backend: "v1"}}.mustHold(t, from)
	})
	t.Run("a mirror that is slow", func(t *testing.T) {
		started := time.Now()
		path := unique("/slow") + "?delay=0s"
		answers, err := from.send(request{host: "mirrors", path: path}, 5)
		require.NoError(t, err)
		require.NoError(t, answer{backend: "v1"}.fits(answers[0]))
		require.Less(t, time.Since(started), 10*time.Second)
	})
	// By now a mirrored request would have arrived.
	require.Zero(t, logged(t, s, "v2", none), "requests of %s", none)
}

func testTimeouts(t *testing.T, s *suite.ConformanceTestSuite) {
	from := mesh(t, s)
	slow := func(path string) request { return request{path: path + "?delay=5s"} }
	started := time.Now()
	expect(t, from, "timeouts", []probe{
		{"request", slow("/request"), answer{status: 504, refusal: "request-timeout"}},
		{"one try", slow("/try"), answer{status: 504, refusal: "backend-timeout"}},
		{"in time", request{path: "/request?delay=50ms"}, answer{backend: "v1"}},
		{"zero is no limit", request{path: "/zero?delay=1s"},
			answer{backend: "v1"}},
	})
	t.Logf("took %s", time.Since(started))
	one := time.Now()
	_, err := from.send(request{host: "timeouts", path: "/request?delay=5s"}, 1)
	require.NoError(t, err)
	require.Less(t, time.Since(one), 4*time.Second, "the answer did not come when the time was up")
}

func testRetries(t *testing.T, s *suite.ConformanceTestSuite) {
	from := mesh(t, s)
	for _, x := range []struct {
		name, prefix, query string
		status, tries       int
	}{
		{"a status that is named", "/twice", "codes=503", 503, 3},
		{"another status that is named", "/twice", "codes=500", 500, 3},
		{"a status that is not named", "/twice", "codes=502", 502, 1},
		{"a request that is answered", "/twice", "codes=200", 200, 1},
		{"no retries", "/never", "codes=503", 503, 1},
		{"no retries of a try that was in time", "/try", "codes=200", 200, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			probe{"", request{host: "retries", path: x.prefix}, answer{backend: "v1"}}.mustHold(t, from)
			path := unique(x.prefix) + "?" + x.query
			answers, err := from.send(request{host: "retries", path: path}, 1)
			require.NoError(t, err)
			require.NoError(t, answer{status: x.status, backend: "v1"}.fits(answers[0]))
			mustBeLogged(t, s, "v1", path, x.tries)
		})
	}
	t.Run("a try that is too slow", func(t *testing.T) {
		path := unique("/try") + "?delay=3s"
		answers, err := from.send(request{host: "retries", path: path}, 1)
		require.NoError(t, err)
		require.NoError(t, answer{status: 504}.fits(answers[0]))
		mustBeLogged(t, s, "v1", path, 3)
	})
	t.Run("a share of failures is hidden", func(t *testing.T) {
		// Each fails one time in four, and may be tried 11 times.
		answers, err := from.send(request{host: "retries", path: "/often?codes=503:1,200:3"}, inARow)
		require.NoError(t, err)
		for _, a := range answers {
			require.NoError(t, answer{backend: "v1"}.fits(a))
		}
	})
}

func testProtocols(t *testing.T, s *suite.ConformanceTestSuite) {
	http2 := []string{"--http2"}
	expect(t, mesh(t, s), "protocols", []probe{
		{"HTTP/1.1", request{path: "/plain"}, answer{backend: "v1", proto: "HTTP/1.1"}},
		{"HTTP/2", request{path: "/plain", flags: http2}, answer{backend: "v1", proto: "HTTP/2.0"}},
		{"HTTP/1.1 to h2c", request{path: "/h2c"}, answer{backend: "v2", proto: "HTTP/2.0"}},
		{"HTTP/2 to h2c", request{path: "/h2c", flags: http2}, answer{backend: "v2", proto: "HTTP/2.0"}},
		{"HTTP/2 to ws", request{path: "/ws", flags: http2}, answer{backend: "v2", proto: "HTTP/1.1"}},
		{"h2c without a route", request{host: "v1:82", path: "/"}, answer{backend: "v1", proto: "HTTP/2.0"}},
		{"https can't be routed", request{path: "/https"}, answer{status: 500, refusal: "invalid-backend"}},
	})
}

func testWebSocket(t *testing.T, s *suite.ConformanceTestSuite) {
	from := mesh(t, s)
	ws := func(path string, headers map[string]string) request {
		return request{scheme: "ws", host: "websocket", path: path, headers: headers}
	}
	for _, x := range []struct {
		name string
		ask  request
		want string
	}{
		{"by path", ws("/one", nil), "v1-"},
		{"by header", ws("/", map[string]string{"version": "two"}), "v2-"},
		{"appProtocol kubernetes.io/ws", ws("/ws", nil), "v2-"},
		{"without a route", request{scheme: "ws", host: "v3", path: "/"}, "v3-"},
	} {
		t.Run(x.name, func(t *testing.T) {
			ask := x.ask
			ask.flags = []string{"--msg=to-and-fro"}
			try := func(count int) error {
				stdout, stderr, err := from.run(ask.args(count))
				if err != nil {
					return fmt.Errorf("%w: %s", err, lastLine(stdout+stderr))
				}
				hosts := strings.Count(stdout, "Hostname="+x.want)
				// Once as what was sent, once as what came back.
				if back := strings.Count(stdout, "] to-and-fro"); hosts != count || back < count {
					return fmt.Errorf("%d answers by %s and %d echoes of %d messages:\n%s", hosts,
						x.want, back, count, stdout)
				}
				return nil
			}
			eventually(t, func() error { return try(1) })
			require.NoError(t, try(inARow))
		})
	}
	t.Run("no rule matches", func(t *testing.T) {
		stdout, stderr, err := from.run(ws("/three", nil).args(1))
		require.Error(t, err)
		require.Contains(t, stdout+stderr, "bad handshake")
	})
}

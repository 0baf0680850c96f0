// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"fmt"
	nethttp "net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"sigs.k8s.io/gateway-api/conformance/utils/echo"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// answer is what is expected back. What is empty is not looked at, but the
// status, which then has to be 200.
type answer struct {
	status            int
	backend           string // a Deployment whose pod answers
	path, host, proto string // as this pod saw the request
	method            string
	seen              map[string]string // its header fields; "": must be absent
	carries           map[string]string // the same of the response
	refusal           string            // the reason of a proxy's own answer
}

func (want answer) fits(got echo.Response) error {
	status := want.status
	if status == 0 {
		status = nethttp.StatusOK
	}
	if got.Code != strconv.Itoa(status) {
		return fmt.Errorf("status %s, expected %d (%s)", got.Code, status,
			got.ResponseHeaders.Get("Eastwest-Refusal"))
	}
	if want.backend != "" && !strings.HasPrefix(got.Hostname, want.backend+"-") {
		return fmt.Errorf("answered by %q, expected a pod of %s", got.Hostname, want.backend)
	}
	for _, x := range []struct{ what, got, want string }{
		{"path", got.URL, want.path}, {"host", got.Host, want.host},
		{"protocol", got.Protocol, want.proto}, {"method", got.Method, want.method},
		{"refusal", got.ResponseHeaders.Get("Eastwest-Refusal"), want.refusal},
	} {
		if x.want != "" && x.got != x.want {
			return fmt.Errorf("%s %q, expected %q", x.what, x.got, x.want)
		}
	}
	if err := fieldsFit("request", got.RequestHeaders, want.seen); err != nil {
		return err
	}
	return fieldsFit("response", responseFields(got), want.carries)
}

var responseField = regexp.MustCompile(string(echo.ResponseHeaderField) + "=([^:]+):(.*)")

// The suite's own reading keeps only the last of several values.
func responseFields(got echo.Response) nethttp.Header {
	fields := nethttp.Header{}
	for _, m := range responseField.FindAllStringSubmatch(got.RawContent, -1) {
		fields.Add(m[1], m[2])
	}
	return fields
}

func fieldsFit(what string, got nethttp.Header, want map[string]string) error {
	for name, value := range want {
		if found := strings.Join(got.Values(name), ","); found != value {
			return fmt.Errorf("%s header %s is %q, expected %q", what, name, found, value)
		}
	}
	return nil
}

// probe is one case of a table: a request, and the answer that it has to get
// each time.
type probe struct {
	name string
	ask  request
	want answer
}

// expect runs the table from one pod. host is of requests that have none.
func expect(t *testing.T, from caller, host string, table []probe) {
	t.Helper()
	for _, p := range table {
		if p.ask.host == "" {
			p.ask.host = host
		}
		t.Run(p.name, func(t *testing.T) { p.mustHold(t, from) })
	}
}

func (p probe) mustHold(t *testing.T, from caller) {
	t.Helper()
	eventually(t, func() error {
		got, err := from.send(p.ask, 1)
		if err != nil {
			return err
		}
		return p.want.fits(got[0])
	})
	for _, flags := range [][]string{nil, {"--new-connection-per-request"}} {
		ask := p.ask
		ask.flags = append(flags, ask.flags...)
		got, err := from.send(ask, inARow)
		require.NoError(t, err)
		for i, a := range got {
			require.NoErrorf(t, p.want.fits(a), "request %d of %d %v", i+1, inARow, flags)
		}
	}
}

// How long an implementation may take, which the suite's flags can change.
var patience time.Duration

// eventually repeats until there is no error.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			require.NoErrorf(t, err, "not within %s", patience)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// shares counts the answers by status and Deployment: "200 v1".
func shares(answers []echo.Response) map[string]int {
	found := map[string]int{}
	for _, a := range answers {
		backend, _, _ := strings.Cut(a.Hostname, "-")
		found[strings.TrimSpace(a.Code+" "+backend)]++
	}
	return found
}

// expectShares sends 1000 requests, of which each kind of answer gets the share
// that is given, in hundredths and give or take 8: five standard deviations of
// a fair choice, so that bad luck does not fail a run.
func expectShares(t *testing.T, from caller, r request, want map[string]int) {
	t.Helper()
	const count = 1000
	eventually(t, func() error {
		answers, err := from.send(r, 10)
		if err != nil {
			return err
		}
		for kind := range shares(answers) {
			if _, known := want[kind]; !known {
				return fmt.Errorf("an answer %q, expected %v", kind, want)
			}
		}
		return nil
	})
	answers, err := from.send(r, count)
	require.NoError(t, err)
	got := shares(answers)
	for kind, percent := range want {
		require.InDeltaf(t, percent*count/100, got[kind], 8*count/100, "%s of %v", kind, got)
		delete(got, kind)
	}
	require.Empty(t, got, "answers of other kinds")
}

// expectAll sends requests that all versions of the app have to answer, each
// some of them: how many is for the balancer to say.
func expectAll(t *testing.T, from caller, host string) {
	t.Helper()
	probe{"", request{host: host}, answer{}}.mustHold(t, from)
	answers, err := from.send(request{host: host}, 200)
	require.NoError(t, err)
	got := shares(answers)
	for _, version := range []string{"200 v1", "200 v2", "200 v3"} {
		require.GreaterOrEqualf(t, got[version], 20, "%s of %v", version, got)
	}
	require.Len(t, got, 3)
}

func mesh(t *testing.T, s *suite.ConformanceTestSuite) caller {
	t.Helper()
	return callerIn(t, s, namespace)
}

// mustFailWith sends a gRPC request whose status has to be the one given.
func mustFailWith(t *testing.T, from caller, r request, status string) {
	t.Helper()
	try := func() error {
		stdout, stderr, err := from.run(r.args(1))
		if err == nil {
			return fmt.Errorf("was answered, expected the status %s", status)
		}
		if !strings.Contains(stdout+stderr, "code = "+status) {
			return fmt.Errorf("%s%s, expected the status %s", stdout, stderr, status)
		}
		return nil
	}
	eventually(t, try)
	for range 5 {
		require.NoError(t, try())
	}
}

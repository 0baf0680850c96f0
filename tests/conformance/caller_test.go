// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/remotecommand"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/gateway-api/conformance/utils/echo"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
)

// How often a request is sent once its answer is as expected: from then on
// each one has to be, by one connection, and by one for each.
const inARow = 30

// caller is a pod of the mesh that sends requests, by the client program that
// is in its image.
type caller struct {
	s         *suite.ConformanceTestSuite
	namespace string
	pod       string
}

func callerIn(t *testing.T, s *suite.ConformanceTestSuite, ns string) caller {
	t.Helper()
	pod := podOf(t, s, ns, "app", "client")
	return caller{s, ns, pod.Name}
}

func podOf(t *testing.T, s *suite.ConformanceTestSuite, ns, label, value string) corev1.Pod {
	t.Helper()
	var pods corev1.PodList
	err := s.Client.List(context.Background(), &pods, client.InNamespace(ns),
		client.MatchingLabels{label: value})
	require.NoError(t, err)
	require.Lenf(t, pods.Items, 1, "pods in %s with %s=%s", ns, label, value)
	return pods.Items[0]
}

// run gives what the client program wrote, also where it failed.
func (c caller) run(args []string) (stdout, stderr string, err error) {
	var out, errs bytes.Buffer
	req := c.s.Clientset.CoreV1().RESTClient().Post().Resource("pods").
		Namespace(c.namespace).Name(c.pod).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{
			Container: "echo", Command: append([]string{"client"}, args...),
			Stdout: true, Stderr: true,
		}, scheme.ParameterCodec)
	exec, err := remotecommand.NewSPDYExecutor(c.s.RestConfig, "POST", req.URL())
	if err != nil {
		return "", "", err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	err = exec.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &errs})
	return out.String(), errs.String(), err
}

// request is what a caller sends; what is left out is http, GET and /.
type request struct {
	scheme, host, path, method string
	headers                    map[string]string
	flags                      []string // of the client program
}

func (r request) args(count int) []string {
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	scheme := or(r.scheme, "http")
	args := []string{
		fmt.Sprintf("%s://%s%s", scheme, r.host, r.path),
		fmt.Sprintf("--count=%d", count),
		// Of all of them together: on a busy machine its 5 s are too few.
		"--timeout=60s",
	}
	if strings.HasPrefix(scheme, "http") {
		args = append(args, "--method="+or(r.method, "GET"))
	}
	for name, value := range r.headers {
		// Else the client program takes a comma for the end of a header.
		args = append(args, "-H", `"`+strings.ReplaceAll(name+":"+value, `"`, `""`)+`"`)
	}
	return append(args, r.flags...)
}

// send sends a request count times; an error unless each one was answered.
func (c caller) send(r request, count int) ([]echo.Response, error) {
	stdout, stderr, err := c.run(r.args(count))
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, lastLine(stdout+stderr))
	}
	var answers []echo.Response
	for _, part := range strings.Split(stdout, "\n\n") {
		if a := echo.ParseResponse(part); a.Code != "" {
			answers = append(answers, a)
		}
	}
	if len(answers) != count {
		return answers, fmt.Errorf("%d answers to %d requests", len(answers), count)
	}
	return answers, nil
}

func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndex(s, "\n")+1:]
}

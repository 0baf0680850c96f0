// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"flag"
	"fmt"
	"slices"
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// The suite of the Gateway API itself, unchanged: what is declared, and what
// its report says, comes as flags from the runner. What the suite would pass
// over in silence, a mesh test that it skipped, fails here.
func TestConformance(t *testing.T) {
	options := conformance.DefaultOptions(t)
	mustBeInstalled(t, options.Client)
	mustClear(t, options.Client, suite.MeshNamespace, suite.MeshConsumerNamespace)
	ran := map[string]bool{}
	options.Hook = func(t *testing.T, test suite.ConformanceTest, s *suite.ConformanceTestSuite) {
		ran[test.ShortName] = !t.Skipped()
		tell(t, test, s)
	}
	conformance.RunConformanceWithOptions(t, options)
	if part() {
		return
	}
	for _, test := range tests.ConformanceTests {
		if isMesh(test) && !ran[test.ShortName] {
			t.Errorf("%s: was skipped: expected all tests of meshes to run", test.ShortName)
		}
	}
}

// tell writes how a test ended, at once, for the runner.
func tell(t *testing.T, _ suite.ConformanceTest, _ *suite.ConformanceTestSuite) {
	result := "PASS"
	if t.Failed() {
		result = "FAIL"
	} else if t.Skipped() {
		result = "SKIP"
	}
	fmt.Printf("=== TOLD %s %s\n", result, t.Name())
}

// Whether only some of the tests were asked for.
func part() bool {
	return flag.Lookup("test.run").Value.String() != ""
}

func isMesh(test suite.ConformanceTest) bool {
	return slices.Contains(test.Features, features.SupportMesh)
}

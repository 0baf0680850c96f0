// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"flag"
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
	mustNotEnd(t, options.Client, suite.MeshNamespace, suite.MeshConsumerNamespace)
	ran := map[string]bool{}
	options.Hook = func(t *testing.T, test suite.ConformanceTest, _ *suite.ConformanceTestSuite) {
		ran[test.ShortName] = !t.Skipped()
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

// Whether only some of the tests were asked for.
func part() bool {
	return flag.Lookup("test.run").Value.String() != "^TestConformance$" &&
		flag.Lookup("test.run").Value.String() != ""
}

func isMesh(test suite.ConformanceTest) bool {
	return slices.Contains(test.Features, features.SupportMesh)
}

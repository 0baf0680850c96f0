// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"embed"
	"flag"
	"io/fs"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/utils/kubernetes"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

const (
	namespace = "eastwest-conformance"
	consumer  = "eastwest-conformance-consumer"
)

//go:embed manifests
var manifests embed.FS

// Each file of tests adds its own.
var ownTests []suite.ConformanceTest

// add makes a test of the suite's kind out of a function; its manifests are
// manifests/FILE.yaml, or none.
func add(name, description, file string, test func(*testing.T, *suite.ConformanceTestSuite)) {
	own := suite.ConformanceTest{
		ShortName:   name,
		Description: description,
		Features:    []features.FeatureName{features.SupportMesh},
		Test:        test,
	}
	if file != "" {
		own.Manifests = []string{"manifests/" + file + ".yaml"}
	}
	ownTests = append(ownTests, own)
}

// What the suite does not ask of a mesh, or asks of a lucky request only.
func TestEastwest(t *testing.T) {
	options := conformance.DefaultOptions(t)
	options.ManifestFS = []fs.FS{&manifests}
	options.ReportOutputPath = ""
	options.TimeoutConfig.TestIsolation = 0
	options.Hook = tell
	patience = options.TimeoutConfig.MaxTimeToConsistency
	s, err := suite.NewConformanceTestSuite(options)
	require.NoError(t, err)
	s.Applier.ManifestFS = s.ManifestFS
	mustBeInstalled(t, s.Client)
	mustClear(t, s.Client, namespace, consumer)
	s.Applier.MustApplyWithCleanup(t, s.Client, s.TimeoutConfig, "manifests/base.yaml", s.Cleanup)
	kubernetes.MeshNamespacesMustBeReady(t, s.Client, s.TimeoutConfig, []string{namespace, consumer})
	require.NoError(t, s.Run(t, ownTests))
}

// mustClear deletes what an interrupted run left, and waits until it is gone.
func mustClear(t *testing.T, c client.Client, names ...string) {
	err := wait.PollUntilContextTimeout(context.Background(), time.Second, 3*time.Minute, true,
		func(ctx context.Context) (bool, error) {
			gone := true
			for _, name := range names {
				ns := corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
				if err := c.Delete(ctx, &ns); !apierrors.IsNotFound(err) {
					gone = false
				}
			}
			return gone, nil
		})
	require.NoErrorf(t, err, "the namespaces %v of an earlier run can't be deleted", names)
}

// mustBeInstalled says so where there is no mesh; else each test would say it
// in its own way.
func mustBeInstalled(t *testing.T, c client.Client) {
	name := flag.Lookup("mesh-name").Value.String()
	var of xv1alpha1.XMesh
	err := c.Get(context.Background(), types.NamespacedName{Name: name}, &of)
	require.NoErrorf(t, err, "XMesh %q: expected one of the controller %s: is Eastwest installed?",
		name, controllerName)
	require.EqualValuesf(t, controllerName, of.Spec.ControllerName, "controllerName of XMesh %q", name)
}

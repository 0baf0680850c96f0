// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	xv1alpha1 "sigs.k8s.io/gateway-api/apisx/v1alpha1"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

const controllerName = "eastwest.dev/controller"

func init() {
	add("Status", "The conditions of a route tell what is wrong with it, for each of its parents",
		"status", testStatus)
	add("StatusFollows", "Status follows what changes, keeps what others wrote, and is not written "+
		"without need", "status-follows", testStatusFollows)
	add("XMesh", "The mesh's own object tells that it is accepted and what it can do",
		"", testXMesh)
}

// verdict is one condition, as "True Accepted".
type verdict map[string]string

var (
	accepted  = "True Accepted"
	resolved  = "True ResolvedRefs"
	healthy   = verdict{"Accepted": accepted, "ResolvedRefs": resolved}
	noParent  = verdict{"Accepted": "False NoMatchingParent", "ResolvedRefs": resolved}
	conflict  = verdict{"Accepted": "False Conflicted", "ResolvedRefs": resolved}
	unusable  = verdict{"Accepted": "False UnsupportedValue", "ResolvedRefs": resolved}
	partially = verdict{"Accepted": accepted, "ResolvedRefs": resolved,
		"PartiallyInvalid": "True UnsupportedValue"}
)

func badRef(reason string) verdict {
	return verdict{"Accepted": accepted, "ResolvedRefs": "False " + reason}
}

// route is of a whole route what all kinds share.
type route struct {
	object *unstructured.Unstructured
	shared struct {
		Spec   gatewayv1.CommonRouteSpec `json:"spec"`
		Status gatewayv1.RouteStatus     `json:"status"`
	}
}

func routeOf(s *suite.ConformanceTestSuite, kind, ns, name string) (*route, error) {
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(schema.GroupVersionKind{
		Group: "gateway.networking.k8s.io", Version: "v1", Kind: kind})
	err := s.Client.Get(context.Background(), types.NamespacedName{Namespace: ns, Name: name}, object)
	if err != nil {
		return nil, err
	}
	r := &route{object: object}
	return r, runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &r.shared)
}

// check compares all that our controller says: no condition more or less.
func (r *route) check(want ...verdict) error {
	var ours []gatewayv1.RouteParentStatus
	for _, p := range r.shared.Status.Parents {
		if p.ControllerName == controllerName {
			ours = append(ours, p)
		}
	}
	if len(ours) != len(want) {
		return fmt.Errorf("%d parents in the status, expected %d", len(ours), len(want))
	}
	for i, p := range ours {
		if fmt.Sprint(asMap(p.ParentRef)) != fmt.Sprint(asMap(r.shared.Spec.ParentRefs[i])) {
			return fmt.Errorf("parentRef %v, expected it as written: %v", p.ParentRef, r.shared.Spec.ParentRefs[i])
		}
		got := verdict{}
		for _, c := range p.Conditions {
			got[c.Type] = string(c.Status) + " " + c.Reason
			if c.ObservedGeneration != r.object.GetGeneration() {
				return fmt.Errorf("%s: observedGeneration %d, expected %d", c.Type,
					c.ObservedGeneration, r.object.GetGeneration())
			}
			if c.Message == "" || c.LastTransitionTime.IsZero() {
				return fmt.Errorf("%s: without a message or a time", c.Type)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want[i]) {
			return fmt.Errorf("parent %d: %v, expected %v: %v", i, got, want[i], p.Conditions)
		}
	}
	return nil
}

func asMap(ref gatewayv1.ParentReference) map[string]any {
	out, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&ref)
	if err != nil {
		panic(err)
	}
	return out
}

func mustHaveStatus(t *testing.T, s *suite.ConformanceTestSuite, kind, name string, want ...verdict) *route {
	t.Helper()
	var r *route
	eventually(t, func() error {
		var err error
		if r, err = routeOf(s, kind, namespace, name); err != nil {
			return err
		}
		return r.check(want...)
	})
	return r
}

func testStatus(t *testing.T, s *suite.ConformanceTestSuite) {
	for _, x := range []struct {
		kind, name string
		want       []verdict
	}{
		{"HTTPRoute", "accepted", []verdict{healthy}},
		{"GRPCRoute", "accepted", []verdict{healthy}},
		{"TCPRoute", "accepted", []verdict{healthy}},
		{"TLSRoute", "accepted", []verdict{healthy}},
		{"HTTPRoute", "group-core", []verdict{healthy}},
		{"HTTPRoute", "parents", []verdict{healthy, noParent, noParent, noParent, noParent, noParent, noParent}},
		{"HTTPRoute", "regular-expression", []verdict{unusable}},
		{"HTTPRoute", "partially", []verdict{partially}},
		{"HTTPRoute", "filter-alone", []verdict{unusable}},
		{"HTTPRoute", "filter", []verdict{partially}},
		{"HTTPRoute", "backend-not-found", []verdict{badRef("BackendNotFound")}},
		{"HTTPRoute", "backend-port", []verdict{badRef("BackendNotFound")}},
		{"HTTPRoute", "backend-external", []verdict{badRef("BackendNotFound")}},
		{"HTTPRoute", "backend-kind", []verdict{badRef("InvalidKind")}},
		{"HTTPRoute", "backend-protocol", []verdict{badRef("UnsupportedProtocol")}},
		{"HTTPRoute", "mirror", []verdict{badRef("BackendNotFound")}},
		{"GRPCRoute", "backend-not-found", []verdict{badRef("BackendNotFound")}},
		{"TCPRoute", "backend-not-found", []verdict{badRef("BackendNotFound")}},
		{"TLSRoute", "backend-not-found", []verdict{badRef("BackendNotFound")}},
		{"GRPCRoute", "conflict", []verdict{healthy}},
		{"HTTPRoute", "conflict", []verdict{conflict}},
		{"TLSRoute", "conflict", []verdict{conflict}},
		{"TCPRoute", "conflict", []verdict{conflict}},
		{"HTTPRoute", "conflict-one-port", []verdict{healthy}},
		{"TCPRoute", "second", []verdict{conflict}},
	} {
		t.Run(x.kind+" "+x.name, func(t *testing.T) {
			mustHaveStatus(t, s, x.kind, x.name, x.want...)
		})
	}
	t.Run("HTTPRoute of a Gateway", func(t *testing.T) {
		// Written after it, this one has a status: by then it was looked at.
		mustHaveStatus(t, s, "HTTPRoute", "z-last", healthy)
		r, err := routeOf(s, "HTTPRoute", namespace, "gateway")
		require.NoError(t, err)
		require.NoError(t, r.check())
	})
}

func entryOf(r *route, controller gatewayv1.GatewayController) *gatewayv1.RouteParentStatus {
	for i := range r.shared.Status.Parents {
		if r.shared.Status.Parents[i].ControllerName == controller {
			return &r.shared.Status.Parents[i]
		}
	}
	return nil
}

func patch(t *testing.T, s *suite.ConformanceTestSuite, r *route, body string) {
	t.Helper()
	require.NoError(t, s.Client.Patch(context.Background(), r.object,
		client.RawPatch(types.MergePatchType, []byte(body))))
}

func testStatusFollows(t *testing.T, s *suite.ConformanceTestSuite) {
	r := mustHaveStatus(t, s, "HTTPRoute", "follows", badRef("BackendNotFound"))
	foreign := gatewayv1.RouteParentStatus{
		ControllerName: "example.com/other",
		ParentRef:      gatewayv1.ParentReference{Name: "gate"},
		Conditions: []metav1.Condition{{Type: "Accepted", Status: "True", Reason: "Accepted",
			ObservedGeneration: 1, LastTransitionTime: metav1.Now().Rfc3339Copy()}},
	}
	t.Run("what others wrote is kept", func(t *testing.T) {
		var whole gatewayv1.HTTPRoute
		key := types.NamespacedName{Namespace: namespace, Name: "follows"}
		eventually(t, func() error {
			if err := s.Client.Get(context.Background(), key, &whole); err != nil {
				return err
			}
			whole.Status.Parents = append(whole.Status.Parents, foreign)
			return s.Client.Status().Update(context.Background(), &whole)
		})
		r, err := routeOf(s, "HTTPRoute", namespace, "follows")
		require.NoError(t, err)
		stored := entryOf(r, foreign.ControllerName)
		require.NotNil(t, stored)
		patch(t, s, r, `{"spec":{"rules":[{"backendRefs":[{"name":"follows","port":80}]}]}}`)
		r = mustHaveStatus(t, s, "HTTPRoute", "follows", badRef("BackendNotFound"))
		require.Len(t, r.shared.Status.Parents, 2)
		require.Equal(t, stored, entryOf(r, foreign.ControllerName))
	})
	t.Run("a backend that comes", func(t *testing.T) {
		service := &corev1.Service{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "follows"},
			Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Name: "http", Port: 80}}},
		}
		before, err := routeOf(s, "HTTPRoute", namespace, "untouched")
		require.NoError(t, err)
		require.NoError(t, before.check(healthy))
		require.NoError(t, s.Client.Create(context.Background(), service))
		t.Cleanup(func() { _ = s.Client.Delete(context.Background(), service) })
		r = mustHaveStatus(t, s, "HTTPRoute", "follows", healthy)
		// The controller looked at all routes, and had to write this one only.
		after, err := routeOf(s, "HTTPRoute", namespace, "untouched")
		require.NoError(t, err)
		require.Equal(t, before.object.GetResourceVersion(), after.object.GetResourceVersion(),
			"was written without need")
	})
	t.Run("a backend that goes", func(t *testing.T) {
		r = mustHaveStatus(t, s, "HTTPRoute", "follows", badRef("BackendNotFound"))
	})
	t.Run("a parent that goes", func(t *testing.T) {
		patch(t, s, r, `{"spec":{"parentRefs":[{"group":"","kind":"Service","name":"nowhere"}]}}`)
		mustHaveStatus(t, s, "HTTPRoute", "follows",
			verdict{"Accepted": "False NoMatchingParent", "ResolvedRefs": "False BackendNotFound"})
	})
}

func testXMesh(t *testing.T, s *suite.ConformanceTestSuite) {
	var of xv1alpha1.XMesh
	name := flag.Lookup("mesh-name").Value.String()
	eventually(t, func() error {
		err := s.Client.Get(context.Background(), types.NamespacedName{Name: name}, &of)
		if err == nil && len(of.Status.SupportedFeatures) == 0 {
			err = fmt.Errorf("XMesh %s has no status", name)
		}
		return err
	})
	require.EqualValues(t, controllerName, of.Spec.ControllerName)
	var names []string
	for _, f := range of.Status.SupportedFeatures {
		names = append(names, string(f.Name))
		require.Truef(t, s.SupportedFeatures.Has(features.FeatureName(f.Name)), "%s is not declared", f.Name)
	}
	require.IsIncreasing(t, names)
	require.Len(t, names, s.SupportedFeatures.Len(), "what is declared, and what the XMesh says")
	for _, c := range of.Status.Conditions {
		if c.Type == "Accepted" {
			require.Equal(t, metav1.ConditionTrue, c.Status)
			require.Equal(t, of.Generation, c.ObservedGeneration)
			return
		}
	}
	t.Fatal("no condition Accepted")
}

package e2e

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// labels select pods.
type labels map[string]string

type containerPort struct {
	Name          string
	ContainerPort int    `yaml:"containerPort"`
	Protocol      string `yaml:"protocol"`
}

type probe struct {
	HTTPGet struct {
		Path, Port string
	} `yaml:"httpGet"`
	PeriodSeconds    int `yaml:"periodSeconds"`
	FailureThreshold int `yaml:"failureThreshold"`
}

// container is what is looked at, and nothing else may be in it: no lifecycle with a preStop hook, above all.
type container struct {
	Name, Image string
	Ports       []containerPort
	Env         []struct {
		Name, Value string
		ValueFrom   struct {
			FieldRef struct {
				FieldPath string `yaml:"fieldPath"`
			} `yaml:"fieldRef"`
		} `yaml:"valueFrom"`
	}
	ReadinessProbe probe `yaml:"readinessProbe"`
	LivenessProbe  probe `yaml:"livenessProbe"`
	VolumeMounts   []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
		ReadOnly  bool   `yaml:"readOnly"`
	} `yaml:"volumeMounts"`
}

type statefulSet struct {
	Head `yaml:",inline"`
	Spec struct {
		ServiceName         string `yaml:"serviceName"`
		Replicas            int
		PodManagementPolicy string         `yaml:"podManagementPolicy"`
		UpdateStrategy      map[string]any `yaml:"updateStrategy"`
		Selector            selector
		Template            struct {
			Metadata struct{ Labels labels }
			Spec     struct {
				Grace           int              `yaml:"terminationGracePeriodSeconds"`
				SecurityContext map[string]any   `yaml:"securityContext"`
				Spread          []map[string]any `yaml:"topologySpreadConstraints"`
				Containers      []container      `yaml:"containers"`
				Volumes         []map[string]any `yaml:"volumes"`
			}
		}
		Claims []struct {
			Metadata struct{ Name string }
			Spec     map[string]any
		} `yaml:"volumeClaimTemplates"`
	}
}

type selector struct {
	MatchLabels labels `yaml:"matchLabels"`
}

// Head is how every object begins.
type Head struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string
	Metadata   struct{ Name string }
}

type service struct {
	Head `yaml:",inline"`
	Spec struct {
		ClusterIP string `yaml:"clusterIP"`
		NotReady  bool   `yaml:"publishNotReadyAddresses"`
		Selector  labels
		Ports     []struct {
			Name, Protocol string
			Port           int
			TargetPort     string `yaml:"targetPort"`
		}
	}
}

type budget struct {
	Head `yaml:",inline"`
	Spec struct {
		MaxUnavailable int `yaml:"maxUnavailable"`
		Selector       selector
	}
}

// object decodes one object of kubernetes.yaml; nothing may be in it that is not in to.
func object(t *testing.T, name string, to any) {
	t.Helper()
	text, ok := documents(t)[name]
	if !ok {
		t.Fatalf("kubernetes.yaml has no %s, but %v", name, slices.Sorted(maps.Keys(documents(t))))
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(to); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

func kubernetesStarts(t *testing.T, i int) started {
	var set statefulSet
	object(t, "StatefulSet shop", &set)
	s := image(t)
	for _, e := range set.Spec.Template.Spec.Containers[0].Env {
		s.env[e.Name] = e.Value
		if e.ValueFrom.FieldRef.FieldPath == "metadata.name" {
			s.env[e.Name] = fmt.Sprintf("%s-%d", set.Metadata.Name, i)
		}
	}
	return s
}

// What docs/deploying.md says of Kubernetes, kubernetes.yaml does.
func TestKubernetes(t *testing.T) {
	var set statefulSet
	var peers, clients service
	var pdb budget
	object(t, "StatefulSet shop", &set)
	object(t, "Service shop-peers", &peers)
	object(t, "Service shop", &clients)
	object(t, "PodDisruptionBudget shop", &pdb)
	pod := set.Spec.Template.Metadata.Labels
	for what, l := range map[string]labels{"StatefulSet": set.Spec.Selector.MatchLabels,
		"shop-peers": peers.Spec.Selector, "shop": clients.Spec.Selector,
		"PodDisruptionBudget": pdb.Spec.Selector.MatchLabels} {
		if len(l) == 0 || !maps.Equal(l, pod) {
			t.Errorf("%s selects %v, the pods have %v", what, l, pod)
		}
	}
	s := set.Spec
	if s.PodManagementPolicy != "Parallel" || s.ServiceName != peers.Metadata.Name || s.Replicas != 3 {
		t.Errorf("%d replicas by %s, known by %s", s.Replicas, s.PodManagementPolicy, s.ServiceName)
	}
	if !peers.Spec.NotReady || peers.Spec.ClusterIP != "None" || clients.Spec.NotReady {
		t.Error("nodes find each other before they are ready, and clients do not")
	}
	if pdb.Spec.MaxUnavailable != 1 {
		t.Errorf("%d nodes may be missing", pdb.Spec.MaxUnavailable)
	}
	spec := set.Spec.Template.Spec
	if grace := time.Duration(spec.Grace) * time.Second; grace < defaultDrain+10*time.Second {
		t.Errorf("terminationGracePeriodSeconds is %v", grace)
	}
	checkContainer(t, set, spec.Containers[0], peers, clients)
	if set.Spec.Claims[0].Metadata.Name != spec.Containers[0].VolumeMounts[0].Name {
		t.Error("the data is in no volume of its own")
	}
}

func checkContainer(t *testing.T, set statefulSet, c container, peers, clients service) {
	t.Helper()
	ports := map[string]containerPort{}
	for _, p := range c.Ports {
		ports[p.Name] = p
	}
	for _, protocol := range []string{"TCP", "UDP"} {
		is := func(p containerPort) bool { return p.ContainerPort == 7946 && p.Protocol == protocol }
		if !slices.ContainsFunc(c.Ports, is) {
			t.Errorf("no peer port by %s", protocol)
		}
	}
	if len(peers.Spec.Ports) != 2 || peers.Spec.Ports[0].Protocol == peers.Spec.Ports[1].Protocol {
		t.Errorf("the nodes' ports are %+v", peers.Spec.Ports)
	}
	if p := clients.Spec.Ports[0]; ports[p.TargetPort].ContainerPort != 8080 {
		t.Errorf("clients are sent to %+v", p)
	}
	r, l := c.ReadinessProbe, c.LivenessProbe
	if r.HTTPGet.Path+l.HTTPGet.Path != "/readyz/livez" || r.HTTPGet.Port+l.HTTPGet.Port != "httphttp" {
		t.Errorf("probes: %+v, %+v", r, l)
	}
	const linger = 10 // seconds for which a node that drains goes on
	if r.PeriodSeconds*r.FailureThreshold >= linger {
		t.Errorf("not ready is known after %d s", r.PeriodSeconds*r.FailureThreshold)
	}
	if c.VolumeMounts[0].MountPath != image(t).env["FARM_DIR"] {
		t.Errorf("the volume is at %s", c.VolumeMounts[0].MountPath)
	}
	var join string
	for _, e := range c.Env {
		switch e.Name {
		case "FARM_JOIN":
			join = e.Value
		case "FARM_LEAVE":
			t.Error("every restart would be a farewell")
		}
	}
	var want string
	for i := range set.Spec.Replicas {
		want += fmt.Sprintf(",%s-%d.%s:7946", set.Metadata.Name, i, peers.Metadata.Name)
	}
	if join != want[1:] {
		t.Errorf("FARM_JOIN is %s, want %s", join, want[1:])
	}
}

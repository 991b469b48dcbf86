package main

import (
	"maps"
	"net"
	"regexp"
	"strconv"
	"strings"
)

// group is one entry of http_sd: targets that share labels.
type group struct {
	Targets []string          `json:"targets"`
	Labels  map[string]string `json:"labels"`
}

type metadata struct {
	Name, Namespace, UID string
	Labels, Annotations  map[string]string
}

type pod struct {
	Metadata metadata
	Spec     struct {
		NodeName   string
		Containers []struct {
			Name  string
			Ports []struct {
				Name, Protocol string
				ContainerPort  int
			}
		}
	}
	Status struct {
		PodIP, Phase string
		Conditions   []struct{ Type, Status string }
	}
}

type node struct {
	Metadata metadata
	Status   struct {
		Addresses       []struct{ Type, Address string }
		DaemonEndpoints struct{ KubeletEndpoint struct{ Port int } }
	}
}

const meta = "__meta_kubernetes_"

// podTargets is one target for each port that a container declares. A pod without an address has none yet.
func podTargets(p pod) []group {
	if p.Status.PodIP == "" {
		return nil
	}
	shared := map[string]string{
		meta + "namespace":     p.Metadata.Namespace,
		meta + "pod_name":      p.Metadata.Name,
		meta + "pod_uid":       p.Metadata.UID,
		meta + "pod_ip":        p.Status.PodIP,
		meta + "pod_phase":     p.Status.Phase,
		meta + "pod_node_name": p.Spec.NodeName,
		meta + "pod_ready":     "unknown",
	}
	for _, condition := range p.Status.Conditions {
		if condition.Type == "Ready" {
			shared[meta+"pod_ready"] = strings.ToLower(condition.Status)
		}
	}
	addAll(shared, meta+"pod_label_", p.Metadata.Labels)
	addAll(shared, meta+"pod_annotation_", p.Metadata.Annotations)

	var groups []group
	for _, container := range p.Spec.Containers {
		for _, port := range container.Ports {
			labels := maps.Clone(shared)
			number := strconv.Itoa(port.ContainerPort)
			labels[meta+"pod_container_name"] = container.Name
			labels[meta+"pod_container_port_name"] = port.Name
			labels[meta+"pod_container_port_number"] = number
			labels[meta+"pod_container_port_protocol"] = port.Protocol
			groups = append(groups, group{[]string{net.JoinHostPort(p.Status.PodIP, number)}, labels})
		}
	}
	return groups
}

// nodeTargets is the node's kubelet at its internal address.
func nodeTargets(n node) []group {
	labels := map[string]string{meta + "node_name": n.Metadata.Name}
	addAll(labels, meta+"node_label_", n.Metadata.Labels)
	for _, address := range n.Status.Addresses {
		if address.Type == "InternalIP" {
			port := strconv.Itoa(n.Status.DaemonEndpoints.KubeletEndpoint.Port)
			return []group{{[]string{net.JoinHostPort(address.Address, port)}, labels}}
		}
	}
	return nil
}

var notInLabelName = regexp.MustCompile(`[^a-zA-Z0-9_]`)

func addAll(labels map[string]string, prefix string, values map[string]string) {
	for key, value := range values {
		labels[prefix+notInLabelName.ReplaceAllString(key, "_")] = value
	}
}

// pod-security LEVEL reads pods as a stream of JSON, each {"name", "metadata", "spec"}, and says
// what of the Pod Security Standards forbids each, by the code that the API server has for it. Exit
// code 1 if one is forbidden.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

type pod struct {
	Name     string            `json:"name"`
	Metadata metav1.ObjectMeta `json:"metadata"`
	Spec     corev1.PodSpec    `json:"spec"`
}

func main() {
	level, err := api.ParseLevel(os.Args[1])
	fail(err)
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	fail(err)
	forbidden := false
	input := json.NewDecoder(os.Stdin)
	input.DisallowUnknownFields()
	for {
		var next pod
		err := input.Decode(&next)
		if err == io.EOF {
			break
		}
		fail(err)
		results := evaluator.EvaluatePod(api.LevelVersion{Level: level, Version: api.LatestVersion()}, &next.Metadata, &next.Spec)
		result := policy.AggregateCheckResults(results)
		if !result.Allowed {
			forbidden = true
			fmt.Printf("%s: %s\n", next.Name, result.ForbiddenDetail())
		}
	}
	if forbidden {
		os.Exit(1)
	}
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "pod-security:", err)
		os.Exit(2)
	}
}

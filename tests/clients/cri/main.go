// cri-pull speaks to a containerd as a kubelet does, through the CRI image service.
//
//	cri-pull SOCKET pull REFERENCE    pulls, and prints what was recorded as JSON
//	cri-pull SOCKET remove-all        removes every image, and with the last name of each its content
//
// It exists because crictl cannot be had from the Go module proxy. The tests with real clients run it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// pulled is what the node knows of an image once it is there.
type pulled struct {
	RepoDigests  []string `json:"repoDigests"`
	Architecture string   `json:"architecture"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cri-pull:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	switch {
	case len(args) == 3 && args[1] == "pull":
		return withImages(args[0], func(images cri.ImageServiceClient) error { return pull(ctx, images, args[2]) })
	case len(args) == 2 && args[1] == "remove-all":
		return withImages(args[0], func(images cri.ImageServiceClient) error { return removeAll(ctx, images) })
	default:
		return fmt.Errorf("usage: cri-pull SOCKET pull REFERENCE | cri-pull SOCKET remove-all")
	}
}

func withImages(socket string, use func(cri.ImageServiceClient) error) error {
	connection, err := grpc.NewClient("unix://"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	defer connection.Close()
	return use(cri.NewImageServiceClient(connection))
}

func pull(ctx context.Context, images cri.ImageServiceClient, reference string) error {
	answer, err := images.PullImage(ctx, &cri.PullImageRequest{Image: &cri.ImageSpec{Image: reference}})
	if err != nil {
		return err
	}
	status, err := images.ImageStatus(ctx, &cri.ImageStatusRequest{
		Image:   &cri.ImageSpec{Image: answer.ImageRef},
		Verbose: true,
	})
	if err != nil {
		return err
	}
	if status.Image == nil {
		return fmt.Errorf("%s was pulled as %s, but is not there", reference, answer.ImageRef)
	}
	architecture, err := architectureOf(status.Info["info"])
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(pulled{RepoDigests: status.Image.RepoDigests, Architecture: architecture})
}

// architectureOf reads it out of the image config, which containerd puts into its verbose answer.
func architectureOf(info string) (string, error) {
	var parsed struct {
		ImageSpec struct {
			Architecture string `json:"architecture"`
		} `json:"imageSpec"`
	}
	if err := json.Unmarshal([]byte(info), &parsed); err != nil {
		return "", fmt.Errorf("the verbose image status: %w", err)
	}
	return parsed.ImageSpec.Architecture, nil
}

func removeAll(ctx context.Context, images cri.ImageServiceClient) error {
	listed, err := images.ListImages(ctx, &cri.ListImagesRequest{})
	if err != nil {
		return err
	}
	for _, image := range listed.Images {
		if _, err := images.RemoveImage(ctx, &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: image.Id}}); err != nil {
			return err
		}
	}
	return nil
}

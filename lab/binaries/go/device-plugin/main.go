// Device-plugin tells the kubelet of a node without GPUs that it has one: a stand-in for NVIDIA's, for the lab.
// It takes the same way: a socket in the kubelet's folder of plugins, and a registration at the kubelet's own.
package main

import (
	"context"
	"log"
	"net"
	"os"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	api "k8s.io/kubelet/pkg/apis/deviceplugin/v1beta1"
)

const (
	resource = "nvidia.com/gpu"
	name     = "lab-gpu.sock"
)

type plugin struct {
	api.UnimplementedDevicePluginServer
}

func (plugin) GetDevicePluginOptions(context.Context, *api.Empty) (*api.DevicePluginOptions, error) {
	return &api.DevicePluginOptions{}, nil
}

func (plugin) ListAndWatch(_ *api.Empty, stream grpc.ServerStreamingServer[api.ListAndWatchResponse]) error {
	one := []*api.Device{{ID: "lab-gpu-0", Health: api.Healthy}}
	if err := stream.Send(&api.ListAndWatchResponse{Devices: one}); err != nil {
		return err
	}
	<-stream.Context().Done()
	return nil
}

// Allocate gives a container nothing: there is nothing to give.
func (plugin) Allocate(_ context.Context, asked *api.AllocateRequest) (*api.AllocateResponse, error) {
	told := &api.AllocateResponse{}
	for range asked.ContainerRequests {
		told.ContainerResponses = append(told.ContainerResponses, &api.ContainerAllocateResponse{})
	}
	return told, nil
}

func main() {
	path := api.DevicePluginPath + name
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	api.RegisterDevicePluginServer(server, plugin{})
	go register()
	log.Fatal(server.Serve(listener))
}

func register() {
	kubelet, err := grpc.NewClient("unix://"+api.KubeletSocket, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		log.Fatal(err)
	}
	defer kubelet.Close()
	within, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request := &api.RegisterRequest{Version: api.Version, Endpoint: name, ResourceName: resource}
	if _, err := api.NewRegistrationClient(kubelet).Register(within, request); err != nil {
		log.Fatal(err)
	}
	log.Printf("the kubelet knows of one %s, which is none", resource)
}

// Reads a streamed answer with the stream decoders of openai-go v2 and v3, and prints the text.
//
// Only the decoders are compiled: the whole client takes minutes. Arguments: v2 or v3, URL, CA file, API key.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"

	v2 "github.com/openai/openai-go/v2/packages/ssestream"
	v3 "github.com/openai/openai-go/v3/packages/ssestream"
)

type chunk struct {
	Choices []struct {
		Text string `json:"text"`
	} `json:"choices"`
}

type stream interface {
	Next() bool
	Current() chunk
	Err() error
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	authority, err := os.ReadFile(os.Args[3])
	check(err)
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority)
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	request, err := http.NewRequest("POST", os.Args[2], os.Stdin)
	check(err)
	request.Header.Set("Authorization", "Bearer "+os.Args[4])
	request.Header.Set("Content-Type", "application/json")
	response, err := client.Do(request)
	check(err)
	if response.StatusCode != 200 {
		body, _ := io.ReadAll(response.Body)
		check(fmt.Errorf("%s: %s", response.Status, body))
	}
	var answer stream
	if os.Args[1] == "v2" {
		answer = v2.NewStream[chunk](v2.NewDecoder(response), nil)
	} else {
		answer = v3.NewStream[chunk](v3.NewDecoder(response), nil)
	}
	for answer.Next() {
		for _, choice := range answer.Current().Choices {
			fmt.Print(choice.Text)
		}
	}
	check(answer.Err())
}

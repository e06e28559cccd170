// Pulumi's plugin for Kubernetes, as its own main package is at that release. That one cannot be built from
// the module alone: the two files it embeds are generated in its repository. Ours embeds what they are made
// from; the build lays these over this folder.
package main

import (
	_ "embed"

	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/provider"
	"github.com/pulumi/pulumi-kubernetes/provider/v4/pkg/version"
)

//go:embed schema.json
var schema []byte

//go:embed terraform-mapping.json
var mapping []byte

func main() {
	provider.Serve("kubernetes", version.Version, schema, mapping)
}

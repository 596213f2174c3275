// Command rdd-kubectl is kubectl. `rdd ctl` runs it with the kubeconfig of an
// instance; it is a program of its own because nothing else should pay for its size
// and its start. The plugins that log in to other clusters are left out: this
// control plane takes a token.
package main

import (
	"os"

	"k8s.io/component-base/cli"
	"k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
)

func main() {
	if err := cli.RunNoErrOutput(cmd.NewDefaultKubectlCommand()); err != nil {
		util.CheckErr(err) // exits
		os.Exit(1)
	}
}

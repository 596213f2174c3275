// Command rdd-kubectl is kubectl. `rdd ctl` runs it with the kubeconfig of an
// instance. It is a separate program, so that the size and start-up time of kubectl
// don't burden the others. The plugins that log in to other clusters are left out:
// this control plane accepts a token.
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

package dockerconfig

import (
	"fmt"

	"rancherdesktop.io/rdd/internal/instance"
)

// Override says, for people, why docker doesn't use its current context when it is called in this program's environment, and what
// to do. It is empty if docker does, or uses the instance's engine in another way.
func Override(inst instance.Instance) string {
	f := Of(inst)
	host, context := inst.DockerEnvironment()
	switch {
	case host == f.Host:
		return ""
	case host != "":
		return fmt.Sprintf("DOCKER_HOST is set, so docker uses %s and no context. To use RDD's engine: unset DOCKER_HOST", host)
	case context == f.Context:
		return ""
	case context != "":
		return fmt.Sprintf("DOCKER_CONTEXT is set, so docker uses the context %s. To use RDD's engine: unset DOCKER_CONTEXT", context)
	}
	last, err := f.load()
	if err == nil && last.Dir != "" && last.Dir != f.Dir {
		return fmt.Sprintf("docker's folder is %s here, and the context %s is in %s. To use RDD's engine, set DOCKER_CONFIG to that, or restart the service with: rdd svc restart", f.Dir, f.Context, last.Dir)
	}
	return ""
}

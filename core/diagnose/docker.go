package diagnose

import (
	"cmp"
	"context"
	"fmt"

	"rancherdesktop.io/rdd/internal/dockerconfig"
)

// checkDocker checks whether docker uses this instance's engine, and what keeps it from that.
func checkDocker(_ context.Context, i *inspection) []Finding {
	return []Finding{judgeDocker(dockerconfig.Of(i.inst), dockerconfig.Override(i.inst))}
}

// judgeDocker judges docker's files. override says why docker doesn't use its current context.
func judgeDocker(files dockerconfig.Files, override string) Finding {
	name, there, err := files.Current()
	switch {
	case override != "" && files.Exists():
		return Finding{Severity: SeverityWarning, What: override}
	case err != nil:
		return Finding{Severity: SeverityWarning, What: err.Error(), Meaning: "docker uses its default context while it can't read this file."}
	case !there:
		return Finding{
			Severity: SeverityProblem, What: fmt.Sprintf("docker's current context %s does not exist", name),
			Meaning: "Every docker command fails. The program that made the context has removed it.",
			Remedy:  "Choose another one: docker context use " + choice(files),
		}
	case !files.Exists():
		return ok("docker has no context of this instance; the first start of the App makes it")
	case name == files.Context:
		return ok("docker uses this instance's engine")
	}
	return ok("docker uses its context %s; for this instance's engine: docker context use %s", cmp.Or(name, "default"), files.Context)
}

// choice is a context that exists.
func choice(files dockerconfig.Files) string {
	if files.Exists() {
		return files.Context
	}
	return "default"
}

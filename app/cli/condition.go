package cli

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"rancherdesktop.io/rdd/core"
)

// startup is the value of --since that means the start of the running service.
const startup = "startup"

func (s *session) waitCondition() *cobra.Command {
	var c core.Condition
	var since string
	cmd := &cobra.Command{
		Use: "wait-condition TYPE/NAME CONDITION[=STATUS]", Short: "Wait for a condition of an object of the control plane",
		Long: "Waits until an object of the control plane has a condition with a status, True by default, for the object's current\n" +
			"generation. It fails immediately if the object doesn't exist or is deleted.\n" +
			"For example:\n  rdd ctl wait-condition limavm/demo Running\n  rdd ctl wait-condition limavm/demo Running=False --reason Stopped",
		Args:              exactArgs("TYPE/NAME", "CONDITION[=STATUS]"),
		ValidArgsFunction: s.completeCondition(&c.Namespace),
	}
	cmd.Flags().StringVar(&c.Reason, "reason", "", "reason that the condition must have")
	cmd.Flags().StringVar(&since, "since", "", `ignore a condition that changed before this time, such as 2026-01-02T15:04:05Z, or before the service became ready ("startup")`)
	cmd.Flags().StringVarP(&c.Namespace, "namespace", "n", "", "namespace of a namespaced object (default: default)")
	_ = cmd.RegisterFlagCompletionFunc("since", cobra.FixedCompletions([]string{startup}, cobra.ShellCompDirectiveNoFileComp))
	s.waitsAlways(cmd, workTimeout, "", func(cmd *cobra.Command, args []string, client *core.Core, w core.Wait) error {
		if err := parseCondition(&c, args[0], args[1], since); err != nil {
			return err
		}
		waitAgainWith(cmd, commandLine(cmd))
		endsWith(cmd, "stopped waiting")
		session, err := client.Connect(cmd.Context())
		if err != nil {
			return err
		}
		if err := session.WaitCondition(cmd.Context(), c, w); err != nil {
			return err
		}
		s.printf("%s has %s\n", args[0], c)
		return nil
	})
	return cmd
}

// parseCondition reads the arguments and --since into c.
func parseCondition(c *core.Condition, object, condition, since string) (err error) {
	var ok bool
	if c.Type, c.Name, ok = strings.Cut(object, "/"); !ok || c.Type == "" || c.Name == "" || strings.Contains(c.Name, "/") {
		return usagef("expected TYPE/NAME, such as limavm/demo; got %q", object)
	}
	var status string
	if c.Condition, status, ok = strings.Cut(condition, "="); !ok {
		status = string(metav1.ConditionTrue)
	}
	known := []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown}
	i := slices.IndexFunc(known, func(s metav1.ConditionStatus) bool { return strings.EqualFold(string(s), status) })
	if c.Condition == "" || i < 0 {
		return usagef("expected CONDITION or CONDITION=STATUS with a status of True, False or Unknown; got %q", condition)
	}
	c.Status = known[i]
	switch since {
	case "":
	case startup:
		c.Startup = true
	default:
		if c.Since, err = time.Parse(time.RFC3339, since); err != nil {
			return usagef("--since requires a time such as 2026-01-02T15:04:05Z, or %s; got %q", startup, since)
		}
	}
	return nil
}

// completeCondition completes TYPE/, then NAME, then the conditions that the object has.
func (s *session) completeCondition(namespace *string) cobra.CompletionFunc {
	return s.completes(func(ctx context.Context, session *core.Session, args []string, typed string) (words []string) {
		if len(args) > 0 {
			typed = args[0]
		}
		typeName, name, named := strings.Cut(typed, "/")
		if !named {
			types, _ := session.Types(ctx)
			for _, t := range types {
				words = append(words, t+"/")
			}
			return words
		}
		objects, _ := session.Names(ctx, typeName, *namespace)
		switch len(args) {
		case 0:
			for _, object := range slices.Sorted(maps.Keys(objects)) {
				words = append(words, typeName+"/"+object)
			}
		case 1:
			words = objects[name]
		}
		return words
	})
}

package machine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"rancherdesktop.io/rdd/internal/machine/event"
)

// validateTimeout bounds the check of a template, which takes some 30 ms.
const validateTimeout = 15 * time.Second

// Validate asks Lima whether it accepts a template with these values for its params, and, when vm
// names a VM that has a disk here, whether that can go with it. What Lima doesn't accept is a
// *TemplateError.
func (m *Manager) Validate(ctx context.Context, vm string, template []byte, params map[string]string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, validateTimeout, fmt.Errorf("%w: Lima did not judge the template within %s", context.DeadlineExceeded, validateTimeout))
	defer cancel()
	args := []string{"validate", "--lima-home", m.config.LimaHome}
	if vm != "" {
		args = append(args, vm)
	}
	job, err := event.Job{Template: string(template), Params: params}.Bytes()
	if err != nil {
		return err
	}
	var last event.Event
	err = runProgram(ctx, m.config.Program, args, job, m.timeouts.interruptTimeout, func(e event.Event) { last = e })
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case last.Failure != nil && last.Failure.Permanent:
		f := last.Failure
		return &TemplateError{Field: f.Field, Message: strings.TrimPrefix(f.Message, f.Field+": ")}
	case last.Failure != nil:
		return fmt.Errorf("check the template: %s", last.Failure.Message)
	case err == nil && !last.OK:
		return errors.New("check the template: rdd-lima ended without a result")
	case err != nil:
		return fmt.Errorf("check the template: %w", err)
	}
	return nil
}

package core

import (
	"context"
	"fmt"
	"slices"

	"rancherdesktop.io/rdd/core/template"
)

// Params lists the params of a VM's template by name, with the VM's values.
func (v *VMs) Params(ctx context.Context, name string) ([]template.Param, error) {
	vm, err := v.Show(ctx, name)
	if err != nil {
		return nil, err
	}
	own, err := v.Template(ctx, name)
	if err != nil {
		return nil, err
	}
	params, err := template.Params(own.Text, vm.Spec.Params)
	return params, Failed("read the params of VM", name, err)
}

// SetParams sets and unsets values of a VM for its template's params, and waits until the controller has seen the change.
// It takes effect at the VM's next start.
func (v *VMs) SetParams(ctx context.Context, name string, set map[string]string, remove []string, w Wait) error {
	const op = "set the params of VM"
	w = w.FromNow()
	params := map[string]any{}
	for key, value := range set {
		params[key] = value
	}
	if len(remove) > 0 {
		known, err := v.Params(ctx, name)
		if err != nil {
			return err
		}
		for _, key := range remove {
			if !slices.ContainsFunc(known, func(p template.Param) bool { return p.Name == key }) {
				return &Error{Kind: Usage, Op: op, Object: name, Err: fmt.Errorf("there is no param %q; see: rdd vm params %s", key, name)}
			}
			params[key] = nil
		}
	}
	vm, err := v.patch(ctx, op, name, map[string]any{"params": params})
	if err != nil {
		return err
	}
	return v.await(ctx, op, vm, w, vm.Expectation().Observed)
}

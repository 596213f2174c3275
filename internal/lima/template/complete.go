package template

import (
	"cmp"
	"maps"

	"rancherdesktop.io/rdd/internal/lima"
)

// guestUser is the guest's user when RDD runs as root, because the guest's user can't be root.
const guestUser = "lima"

const guestUID = 1000

// Complete returns the template in its canonical form, with values for its params, and, when RDD runs
// as root, with an ordinary user for the guest. Lima would otherwise give the guest the user that runs it.
func Complete(text []byte, params map[string]string, asRoot bool) ([]byte, error) {
	y, err := decode(text)
	if err != nil {
		return nil, err
	}
	if y.User.Name != nil && *y.User.Name == "root" || y.User.UID != nil && *y.User.UID == 0 {
		return nil, lima.FieldErrorf("user", "the guest's user can't be root: give it another name and a uid such as 1000, or leave user out")
	}
	if y.Param == nil {
		y.Param = map[string]string{}
	}
	maps.Copy(y.Param, params)
	if asRoot {
		y.User.Name = cmp.Or(y.User.Name, new(guestUser))
		y.User.UID = cmp.Or(y.User.UID, new(uint32(guestUID)))
		y.User.Comment = cmp.Or(y.User.Comment, new("RDD"))
	}
	return canonical(y)
}

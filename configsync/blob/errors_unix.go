//go:build unix

package blob

import "syscall"

// errQuota is the system's own quota, of a user or a project.
const errQuota = syscall.EDQUOT

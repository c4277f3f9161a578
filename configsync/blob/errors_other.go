//go:build !unix

package blob

import "syscall"

// errQuota is what a full disk is called on Windows (ERROR_DISK_FULL).
const errQuota = syscall.Errno(112)

package filemark

import (
	"io/fs"
	"syscall"
)

const sure = true

func changeOf(info fs.FileInfo) change {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return change{int64(st.Ctimespec.Sec), int64(st.Ctimespec.Nsec), uint64(st.Ino)}
	}
	return change{}
}

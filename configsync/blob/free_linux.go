package blob

import "syscall"

// freeOnDisk asks the system.
func (s *Store) freeOnDisk() (space, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(s.config.Dir, &st); err != nil {
		return space{}, err
	}
	d := space{bytes: int64(min(st.Bavail, 1<<40)) * int64(st.Bsize), files: -1}
	if st.Files > 0 { // some file systems make inodes as they go
		d.files = int64(min(st.Ffree, 1<<40))
	}
	return d, nil
}

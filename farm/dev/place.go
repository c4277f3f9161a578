package dev

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
)

// Dir returns where the data of a farm of so many nodes of this program is kept between its runs: in the user's cache directory.
// A farm of another number of nodes is another farm.
func Dir(nodes int) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no place for the data: %w; say by -dir where it is to be", err)
	}
	return filepath.Join(cache, "webfarm", Program(), strconv.Itoa(nodes)), nil
}

// Program returns the name of this program, with something to tell it from others where that is "main", or where it was built of
// single files, as by "go run shop.go".
func Program() string {
	name := os.Args[0]
	if exe, err := os.Executable(); err == nil {
		name = exe
	}
	name = strings.TrimSuffix(filepath.Base(name), ".exe")
	info, ok := debug.ReadBuildInfo()
	if ok && info.Path != "command-line-arguments" && info.Path != "" && name != "main" {
		return name
	}
	where, _ := os.Getwd()
	if ok && info.Path != "command-line-arguments" && info.Path != "" {
		where = info.Path
	}
	sum := sha256.Sum256([]byte(where))
	return name + "-" + hex.EncodeToString(sum[:4])
}

// Package dev starts several processes of one program on one machine, and looks after them.
package dev

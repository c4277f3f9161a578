// Package dev is what package farm does for a developer at a terminal: it starts several processes of one program as a farm on
// one machine and looks after them, says where the site is and what to try, and knows where the data is kept meanwhile. A program
// needs nothing of it: farm.Flags has -dev and -nodes.
package dev

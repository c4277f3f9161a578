// Package configsync gives every node of a farm the same configuration, switched on all of them at one index
// of the log.
//
// A configuration is a Go type with its defaults, declared once as a package variable:
//
//	type Site struct {
//		Banner string         `json:"banner"`
//		Prices map[string]int `json:"prices"`
//		Listen string         `json:"listen" reload:"restart"`
//	}
//
//	var site = configsync.NewConfig("site", Site{Banner: "Welcome"})
//
//	func page(w http.ResponseWriter, r *http.Request) {
//		c := site.Get(r.Context()) // the same for the whole request, whatever is switched meanwhile
//		fmt.Fprintln(w, c.Banner)
//	}
//
// Its values come from files, YAML or JSON: site.yaml for all nodes, roles/front/site.yaml for those of a
// role, nodes/n1/site.yaml for one. The files are replicated as they are written. They are read strictly,
// and all that is wrong is said at once, with file, line, column and field, before anything changes
// anywhere.
//
// A change of them is a release, and so is new content: a folder of files, which are served from there or read as
// an fs.FS. Manager.Put changes some files of configuration, Manager.Publish all and the content, Activate and
// Rollback go to a release that is there. All members make the release ready, each with the types of its own
// program, and one entry of the log switches to it; if one member refuses, nothing changes anywhere.
//
// A Manager is one node's share in that. It is usually opened by package farm.
package configsync

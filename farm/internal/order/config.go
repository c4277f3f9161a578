package order

import "time"

// What an operator may ask of a program's configuration, as cluster/admin.Client.Ask takes it: the word, then the
// details as JSON. With each, of which types they and the answer are.
const (
	ConfigGet      = "config get"      // ConfigOf -> ConfigFiles
	ConfigPut      = "config put"      // ConfigChange -> ConfigDone
	ConfigRollback = "config rollback" // ConfigBack -> ConfigDone
	ConfigHistory  = "config history"  // nothing -> ConfigPast
	ConfigDiff     = "config diff"     // ConfigPair -> []ConfigDifference
	ConfigExplain  = "config explain"  // ConfigQuestion -> []ConfigExplained
	ConfigSeal     = "config seal"     // ConfigPlain -> ConfigSealed
	ConfigReseal   = "config reseal"   // ConfigOf, the zero one -> ConfigFiles, with all secrets sealed anew
)

// ConfigOf names an epoch; 0 = the one in force.
type ConfigOf struct {
	Epoch uint64 `json:"epoch"`
}

// ConfigPair names two.
type ConfigPair struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// ConfigEpoch is one switch of what is in force.
type ConfigEpoch struct {
	Epoch    uint64    `json:"epoch"`
	Release  uint64    `json:"release"`
	Revision uint64    `json:"revision"`
	Index    uint64    `json:"index"`
	Time     time.Time `json:"time"`
	Who      string    `json:"who"` // as he said himself
	Why      string    `json:"why"`

	// By is by what right it was put in force, a configsync.Authority: credential, secret, return, unknown. "" = the node
	// that has answered is older, and does not say it.
	By string `json:"by,omitempty"`

	// Credential is the name of that by which it was put in force; "" = By says something else.
	Credential string `json:"credential,omitempty"`
}

// ConfigFiles are the files of an epoch.
type ConfigFiles struct {
	ConfigEpoch
	Files map[string]string `json:"files"`
}

// ConfigWrite is what a change says of itself.
type ConfigWrite struct {
	Epoch uint64 `json:"epoch"` // that must be in force
	Who   string `json:"who"`
	Why   string `json:"why"`
	Key   string `json:"key"`
}

// ConfigChange sets and removes files. Dry: it is checked, and nothing is changed.
type ConfigChange struct {
	ConfigWrite
	Set    map[string]string `json:"set"`
	Remove []string          `json:"remove"`
	Dry    bool              `json:"dry"`

	Restart string `json:"restart,omitempty"` // how nodes are restarted, if need be; "" = rolling
	Strict  string `json:"strict,omitempty"`  // how long requests are held at most; "" = they are not
}

// ConfigBack puts an epoch's files in force again.
type ConfigBack struct {
	ConfigWrite
	To  uint64 `json:"to"`
	Dry bool   `json:"dry"`

	Restart string `json:"restart,omitempty"` // how nodes are restarted, if need be; "" = rolling
	Strict  string `json:"strict,omitempty"`  // how long requests are held at most; "" = they are not
}

// ConfigDone is what a change has led to, or would lead to.
type ConfigDone struct {
	Was         uint64             `json:"was"`   // the epoch in force before
	Epoch       uint64             `json:"epoch"` // in force now; Was if nothing has changed
	Dry         bool               `json:"dry"`
	Differences []ConfigDifference `json:"differences"`
}

// ConfigDifference is a field that has another value.
type ConfigDifference struct {
	Config  string `json:"config"`
	For     string `json:"for"`     // "" = all nodes
	Section string `json:"section"` // path of URLs; "" = outside of sections
	Field   string `json:"field"`
	Old     string `json:"old"` // as JSON; "" = none
	New     string `json:"new"`
	Restart bool   `json:"restart"`
	Secret  bool   `json:"secret"`
}

// ConfigPast is the epochs that are kept, the newest last.
type ConfigPast struct {
	Epochs []ConfigEpoch `json:"epochs"`
}

// ConfigQuestion says what is to be explained.
type ConfigQuestion struct {
	Config string `json:"config"`
	Field  string `json:"field"`
	Node   string `json:"node"`
	Role   string `json:"role"`
	Path   string `json:"path"`
}

// ConfigExplained is one field, and where its value comes from.
type ConfigExplained struct {
	Field   string         `json:"field"`
	Value   string         `json:"value"`
	Restart bool           `json:"restart"`
	Secret  bool           `json:"secret"`
	Sources []ConfigSource `json:"sources"`
}

// ConfigSource is one layer's say; the last counts.
type ConfigSource struct {
	Layer   string `json:"layer"`
	Section string `json:"section"`
	Value   string `json:"value"`
	File    string `json:"file"`
	Line    int    `json:"line"`
}

// ConfigPlain is a secret on its way to where it is sealed.
type ConfigPlain struct {
	Config string `json:"config"`
	Field  string `json:"field"`
	Text   string `json:"text"`
}

// ConfigSealed is what stands in a file for it.
type ConfigSealed struct {
	Token string `json:"token"`
}

// ConfigStatus is how a node stands to what is in force.
type ConfigStatus struct {
	Epoch   uint64   `json:"epoch"`
	Uses    uint64   `json:"uses"`            // Epoch, unless there is a problem
	Problem string   `json:"problem"`         // "" = none
	Canary  string   `json:"canary"`          // why it does not show the canary to its share of the clients; "" = it does, or there is none
	Restart []string `json:"restart"`         // fields that need a restart of this node
	How     string   `json:"how"`             // how it is restarted for them: rolling, simultaneous, manual; "" = nothing is due
	Draft   *Draft   `json:"draft,omitempty"` // of a staging node that watches a folder
}

// Draft is how a staging node stands to the folder that it watches.
type Draft struct {
	Folder  string    `json:"folder"`
	Shown   time.Time `json:"shown,omitzero"` // since when it is shown as it was then; zero = nothing of it is
	Problem string    `json:"problem"`        // why it is not shown, or not published, as it is now; "" = it is
	Again   bool      `json:"again"`          // that may go away by itself: it is tried again
}

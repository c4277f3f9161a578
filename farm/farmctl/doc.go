// Package farmctl holds the verbs of the operator's command line: who is in a farm, who leaves it, its jobs,
// keys and configuration, its protocol level, its backups. cmd/farmctl is these verbs as a program of their
// own. Any other program carries them by a line in its main, so that a container needs no second binary and
// the versions cannot differ:
//
//	if len(os.Args) > 1 && os.Args[1] == "farm" {
//		p := farmctl.Program{Name: "shop farm", Configs: configs} // those of farm.Config.Configs
//		os.Exit(p.Main(os.Args[2:])) // shop farm members
//	}
//
// The command line is:
//
//	farmctl VERB [flags] [arguments]
//
//	secret     print a new secret for a farm
//	members    show the farm and its members
//	stats      show what waits, how long writes take, and who is reached
//	jobs       show the jobs of the farm; run one now, pause or forget it
//	locks      show what is held, by whom, and how many wait
//	migrations show what has succeeded once and for all; have it run again
//	leave      have a member leave for good, or remove a dead one
//	drain      have a node take no requests, or take them again
//	restart    restart a node, or all of them one after the other
//	finalize   put a new protocol level in force
//	backup     save the replicated state to a file, or check such a file
//	restore    replace the replicated state by that of a backup
//	recover    go on after the loss of the quorum, with what is left
//	publish    publish a site: have all nodes make it ready, and switch them to it at once
//	preview    show a release to whoever has a link, on all nodes, before it is in force
//	credential let somebody publish who does not have the farm's secret, such as CI; or no longer
//	keys       show the farm's keys, change or revoke them
//	config     show the configuration, change it on all nodes at once, or take a change back
//	check      check a site's files without a farm, as CI does
//	releases   show the releases of the farm, and what has become of them
//	activate   put a release in force that is kept, on all nodes at once
//	rollback   put an earlier release in force again, on all nodes at once
//	canary     have some nodes, or a share of the clients, see a release before the others
//	abort      end the rollout that is in progress, so that nothing changes
//	drift      show which nodes do not use what is in force, and why
//
// # Where the farm is, and who may operate it
//
// -node (or FARM_JOIN) gives the peer addresses of members; one that answers is enough, in whatever state it is. -farm (or
// FARM_FARM) is the farm's name. The farm's secret comes from FARM_SECRET or from the file that FARM_SECRET_FILE names, as it
// does for a node, and never from the command line, which others on the machine can read. Whoever has it may do all of
// this; farmctl makes itself a certificate from it, and connects to the peer port with that.
//
//	export FARM_SECRET_FILE=/etc/shop/secret FARM_JOIN=10.0.0.1:7946,10.0.0.2:7946
//	farmctl members
//
// # For scripts
//
// -json prints one JSON object on standard output, stats one for each member. Whatever went wrong is one
// message on standard error. What would ask a person does so on a terminal only: a script says -yes. The exit
// code tells what happened:
//
//	0  done
//	1  failed, and the message says how
//	2  usage: the command line or the environment is wrong, and nothing was asked
//	3  no node could be reached
//	4  not authorized: the secret, the farm's name or the credential is not good
//	5  refused: the farm does not do that as things are, or would not (check); nothing has changed
//	6  no quorum: it takes a majority of the voters; nothing has changed
//	7  the backup is damaged, or is none
//	8  interrupted: the connection ended before the answer; it may or may not have happened
//
// # Restarting
//
// "farmctl restart -rolling" restarts all nodes, one at a time, as an upgrade does once the new program is
// in place. It goes on only while the farm is whole, so that it can be left alone: whatever is missing ends
// it with a sentence. A node ends with exit code 75 for its supervisor to start it again; -command does
// something else, such as
//
//	farmctl restart -rolling -command 'ssh $FARM_NODE systemctl restart shop'
//
// # Backups
//
// A backup holds everything the farm replicates (sessions, the keys that sign them, all other state machines), taken from
// one node while the farm goes on, and nothing of who its members are. It contains session values in the clear: keep it as
// you would keep a database's. "farmctl backup FILE" appears under that name only when it is whole and checked. "farmctl
// restore FILE" gives its state to any farm of the same program, of whatever size.
package farmctl

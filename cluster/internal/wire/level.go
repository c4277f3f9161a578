package wire

// A protocol level is what nodes may say to each other: entries, snapshots, hellos. Every program speaks a
// range of levels; the farm works at one, the level in force, which is replicated state and never goes down.
// A new farm begins at the highest that its founders speak. Later the level is raised by an entry, once every
// member speaks the new one, when an operator says so (Finalize) or after a day: until then every node can go
// back to the program it had before. Whoever does not speak the level in force is turned away.
const (
	LevelFirst = 1
	// knows the entry that raises the level, the snapshot that carries it, and hellos that name it
	LevelLevels = 2
	// knows the state machines and commands that are declared for it; replicas compare what they applied
	LevelSafety = 3
	// knows the state machines and commands that are declared for it, nothing else
	LevelJobs = 4

	ProtocolMin = LevelFirst
	ProtocolMax = LevelJobs
)

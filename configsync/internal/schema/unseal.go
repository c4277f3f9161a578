package schema

import (
	"github.com/seed48eb2e21/webfarm/configsync/internal/secret"
	"github.com/seed48eb2e21/webfarm/configsync/internal/tree"
)

// Unseal returns a tree, as a file has it, in which secrets stand in place of what the file says of them.
func (t *Type) Unseal(n *tree.Node, config string, o secret.Opener) (*tree.Node, tree.Problems) {
	if !t.secrets(map[*Type]bool{}) {
		return n, nil
	}
	u := unsealer{config: config, opener: o}
	return u.in(t, n, nil), u.problems
}

type unsealer struct {
	config   string
	opener   secret.Opener
	problems tree.Problems
}

// in returns n with its secrets. What does not fit the type is left to the decoder.
func (u *unsealer) in(t *Type, n *tree.Node, in tree.Path) *tree.Node {
	for t.kind == pointer {
		t = t.elem
	}
	switch {
	case t.kind == hidden && n.Kind != tree.Null:
		return u.secret(n, in)
	case n.Kind != tree.Map || t.kind != structure && t.kind != dict:
		return n
	}
	out := *n
	out.Fields = make([]tree.Field, len(n.Fields))
	for i, f := range n.Fields {
		of := t.elem
		if t.kind == structure {
			of = nil
			if field := t.field(f.Name); field != nil {
				of = field.typ
			}
		}
		if of != nil {
			f.Value = u.in(of, f.Value, in.With(f.Name))
		}
		out.Fields[i] = f
	}
	return &out
}

// secret returns what a file says of one.
func (u *unsealer) secret(n *tree.Node, in tree.Path) *tree.Node {
	out := &tree.Node{Kind: tree.Secret, At: n.At}
	at := secret.Place{Config: u.config, Field: in.String()}
	token := n.Get(secret.Word)
	switch {
	case token != nil && len(n.Fields) == 1 && token.Kind == tree.Text && u.opener.Open != nil:
		s, err := u.opener.Open(at, token.Text)
		if err != nil {
			u.problems.Add(token.At, in.String(), "%v", err)
		}
		out.Secret = s
	case token != nil && len(n.Fields) == 1 && token.Kind == tree.Text:
		u.problems.Add(token.At, in.String(), "is sealed, and there are no keys here to open it")
	case u.opener.Plain && n.Kind == tree.Text:
		out.Secret = secret.New(n.Text)
	case u.opener.Plain:
		u.problems.Add(n.At, in.String(), "is %s; it takes text, in quotes where it looks like something else", n.Kind)
	default:
		u.problems.Add(n.At, in.String(), "%s", at.Plaintext())
	}
	return out
}

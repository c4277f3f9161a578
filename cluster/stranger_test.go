package cluster

import (
	"bytes"
	"crypto/tls"
	"strings"
	"testing"
	"time"
)

// What somebody without the secret learns at the peer port is what SECURITY.md says, and no more: the
// certificate names farm and NodeID, packets begin with the farm's name, and nobody answers.
func TestWhatAStrangerLearns(t *testing.T) {
	unformed(t, 2, false, func(l *lab) {
		rec := &recorder{}
		l.tap = func(n *labNode, net Network) Network { return tappedNetwork{net, rec} }
		for _, n := range l.nodes {
			n.conf.Join, n.conf.Version, n.conf.Tags = n.everybody(), "v-of-the-shop",
				map[string]string{"tag": "private"}
			n.start()
		}
		l.ready(l.nodes...)
		n := l.nodes[0]
		host := l.net.Host("10.0.9.9")
		for _, proto := range []string{protoRPC, protoRaft, protoGossip} {
			raw, err := host.Dial(l.ctx(5*time.Second), n.conf.Listen)
			if err != nil {
				l.t.Fatal(err)
			}
			c := tls.Client(raw, &tls.Config{InsecureSkipVerify: true,
				NextProtos: []string{"webfarm-" + proto + "/1"}})
			if err := c.HandshakeContext(l.ctx(5 * time.Second)); err != nil {
				l.t.Fatalf("%s: %v", proto, err)
			}
			certs := c.ConnectionState().PeerCertificates
			if len(certs) != 1 || len(certs[0].URIs) != 1 ||
				certs[0].URIs[0].String() != "webfarm://peer/webfarm/node/"+n.ID() {
				l.t.Errorf("%s: %d certificates, %v", proto, len(certs), certs[0].URIs)
			}
			if len(certs[0].DNSNames)+len(certs[0].IPAddresses)+len(certs[0].EmailAddresses) > 0 ||
				strings.Contains(certs[0].Subject.String(), n.conf.Name) {
				l.t.Errorf("%s: the certificate says more: %s", proto, certs[0].Subject)
			}
			c.SetReadDeadline(time.Now().Add(time.Minute))
			if m, err := c.Read(make([]byte, 1)); m > 0 || err == nil {
				l.t.Errorf("%s: a stranger without a certificate was answered", proto)
			}
			c.Close()
		}
		rec.stop()
		for _, p := range rec.packets {
			if !bytes.Contains(p[:min(len(p), 20)], []byte("webfarm/webfarm")) {
				l.t.Fatalf("a packet begins with %q", p[:min(len(p), 20)])
			}
			for _, secret := range []string{n.conf.Name, n.ID(), "v-of-the-shop", "private",
				n.State().ClusterID} {
				if len(secret) > 4 && bytes.Contains(p, []byte(secret)) {
					l.t.Fatalf("a packet shows %q", secret)
				}
			}
		}
	})
}

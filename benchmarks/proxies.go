package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
)

// proxyKind is a proxy that people put in front of what they have written: how it is told to forward to an
// address. Each is told to keep as many connections as it needs, to log no requests, and otherwise works as
// it does by default.
type proxyKind struct {
	exe       string
	configure func(dir, listen, to string, c certs, files int) (args []string, err error)
}

var proxyKinds = map[string]proxyKind{
	"nginx":   {"nginx", nginxConfig},
	"haproxy": {"haproxy", haproxyConfig},
	"caddy":   {"caddy", caddyConfig},
}

func nginxConfig(dir, listen, to string, c certs, files int) ([]string, error) {
	scheme, tls := "http", ""
	if c != "" {
		scheme = "https"
		tls = fmt.Sprintf(`proxy_ssl_certificate %s; proxy_ssl_certificate_key %s; proxy_ssl_trusted_certificate %s;
			proxy_ssl_verify on; proxy_ssl_name %s; proxy_ssl_server_name on; proxy_ssl_protocols TLSv1.3;`,
			c.cert(), c.key(), c.ca(), certName)
	}
	temp := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	file, err := writeConfig(dir, "nginx.conf", fmt.Sprintf(`
daemon off;
worker_processes auto;
worker_rlimit_nofile %[1]d;
pid %[2]s/nginx.pid;
error_log stderr warn;
events { worker_connections %[1]d; }
http {
	access_log off;
	%[3]s
	upstream origin { server %[4]s; keepalive 256; keepalive_requests 100000000; }
	server {
		listen %[5]s backlog=4096;
		keepalive_requests 100000000;
		location / {
			proxy_pass %[6]s://origin;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_set_header Host $host;
			proxy_set_header X-Forwarded-For $remote_addr;
			proxy_read_timeout 1h;
			%[7]s
		}
		location /events {
			proxy_pass %[6]s://origin;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_buffering off;
			proxy_read_timeout 1h;
			%[7]s
		}
	}
}
`, files, dir, temp, to, listen, scheme, tls))
	return []string{"-p", dir, "-c", file, "-e", "stderr"}, err
}

func haproxyConfig(dir, listen, to string, c certs, files int) ([]string, error) {
	tls := ""
	if c != "" {
		tls = fmt.Sprintf("ssl verify required ca-file %s crt %s verifyhost %s sni str(%[3]s) ssl-min-ver TLSv1.3",
			c.ca(), c.both(), certName)
	}
	file, err := writeConfig(dir, "haproxy.cfg", fmt.Sprintf(`
global
	maxconn %d
defaults
	mode http
	option forwardfor
	option http-no-delay
	timeout connect 5s
	timeout client 1h
	timeout server 1h
frontend clients
	bind %s backlog 4096
	default_backend origin
backend origin
	http-reuse always
	server origin %s %s
`, files/2-100, listen, to, tls))
	return []string{"-db", "-f", file}, err
}

func caddyConfig(dir, listen, to string, c certs, _ int) ([]string, error) {
	scheme, tls := "http", ""
	if c != "" {
		scheme = "https"
		tls = fmt.Sprintf("tls_client_auth %s %s\n tls_trust_pool file %s\n tls_server_name %s",
			c.cert(), c.key(), c.ca(), certName)
	}
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return nil, err
	}
	file, err := writeConfig(dir, "Caddyfile", fmt.Sprintf(`{
	admin off
	auto_https off
	storage file_system %s
}
http://:%s {
	bind %s
	reverse_proxy %s://%s {
		transport http {
			keepalive_idle_conns_per_host 1024
			versions 1.1
			%s
		}
	}
}
`, dir, port, host, scheme, to, tls))
	return []string{"run", "--adapter", "caddyfile", "--config", file}, err
}

func writeConfig(dir, name, text string) (file string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	file = filepath.Join(dir, name)
	return file, os.WriteFile(file, []byte(text), 0o644)
}

// Package frameworks shows a farm with what people write web applications with: gin, echo, and WebSockets by
// coder/websocket; and a configuration's JSON Schema with a validator, as editors have one. Its examples are in its
// tests, which run them. It is a module of its own, because of what it requires.
package frameworks

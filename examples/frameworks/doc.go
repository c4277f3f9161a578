// Package frameworks shows a farm with what people write web applications with: gin, echo, and WebSockets by
// coder/websocket. Its examples are in its tests, which run them. It is a module of its own, because of what
// it requires.
package frameworks

package session

// StoreKeyOf returns the key of the session that a genuine token names.
func StoreKeyOf(text string) StoreKey {
	var raw [tokenLen]byte
	if !decodeText(raw[:], text) {
		panic("no token: " + text)
	}
	return (*secret)(raw[:]).key()
}

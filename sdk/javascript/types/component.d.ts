// Imported for what it does: the host's functions are connected.

export {};

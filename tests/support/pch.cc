// Compiled once, so that every test shares one precompiled header.

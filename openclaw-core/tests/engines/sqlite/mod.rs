//! `SqliteStore`: what the store contract says, for one process and for several.

mod laws;

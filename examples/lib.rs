//! Programs that run and check themselves.

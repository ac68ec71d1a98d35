//! Linting.

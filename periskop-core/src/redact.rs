//! Secrets masked before anything is kept.

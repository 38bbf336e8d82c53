//! The uplinks: what attaches them, and who of them carries new connections.

pub(crate) mod choose;
pub(crate) mod kind;

//! The uplinks: who of them carries new connections.

pub(crate) mod choose;

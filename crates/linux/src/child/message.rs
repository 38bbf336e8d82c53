//! What daemon and supervisor say to each other.

use rail_core::{Child, ChildEvent, ChildId};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What is to be.
#[derive(Serialize, Deserialize, Debug)]
pub(super) struct Order {
    /// The runtime directory.
    pub(super) runtime: PathBuf,
    /// The state directory.
    pub(super) state: PathBuf,
    /// Exactly these are to run.
    pub(super) children: Vec<Child>,
}

/// What is.
#[derive(Serialize, Deserialize, Debug)]
pub(super) enum Report {
    /// Something happened to a child.
    Child(ChildId, ChildEvent),
    /// This order is carried out.
    CarriedOut(u64),
}

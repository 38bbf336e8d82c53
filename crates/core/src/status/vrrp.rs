//! VRRP on the screens.

use alloc::string::String;
use serde::{Deserialize, Serialize};

/// A VRRP instance (reserved).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VrrpStatus {
    /// Name.
    pub name: String,
    /// `active`, `backup`, `fault`, `init`.
    pub state: String,
}

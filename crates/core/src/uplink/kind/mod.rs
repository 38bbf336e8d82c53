//! The kinds of uplinks: where an uplink's attachment comes from. One file for each kind.

mod fixed;

use crate::config::UplinkConfig;
use crate::facts::Ways;

/// What the configuration alone says of an uplink's attachments. The rest is learnt.
pub(crate) fn configured(uplink: &UplinkConfig) -> Ways {
    fixed::attach(uplink)
}

//! Beliefs about everything but the uplinks.

use super::{Facts, UplinkFacts};
use crate::config::Stray;
use crate::state::{MainDefault, Rule};
use alloc::vec::Vec;

/// Beliefs about the machine that the uplinks share.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SystemFacts {
    /// As [`Facts::networks`].
    pub networks: Vec<Option<u32>>,
    /// As [`Facts::strays`].
    pub strays: Vec<Stray>,
    /// As [`Facts::copies`].
    pub copies: Vec<Rule>,
    /// As [`Facts::main`].
    pub main: MainDefault,
    /// As [`Facts::loopback`].
    pub loopback: bool,
    /// As [`Facts::all_wide`].
    pub all_wide: bool,
}

impl SystemFacts {
    /// These, and those of the uplinks.
    pub fn with(&self, uplinks: impl Iterator<Item = UplinkFacts>) -> Facts {
        let Self { networks, strays, copies, main, loopback, all_wide } = self.clone();
        Facts { uplinks: uplinks.collect(), networks, strays, copies, main, loopback, all_wide }
    }
}

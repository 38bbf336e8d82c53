//! Settings of the fake kernel.

use super::{ENOENT, Kernel, error};
use rail_core::Watch;
use rail_core::state::{ACCEPT_REDIRECTS, FORWARDING, OpError};
use std::collections::BTreeMap;

impl Kernel {
    pub(super) fn observe_settings(&self, watch: &Watch) -> BTreeMap<String, String> {
        let settings = watch.sysctls.iter().filter_map(|path| self.sysctls.get_key_value(path));
        settings.map(|(path, value)| (path.clone(), value.clone())).collect()
    }

    /// Writes a setting. Forwarding takes the acceptance of redirects along, as Linux does.
    ///
    /// # Errors
    /// `ENOENT`.
    pub fn set_sysctl(&mut self, path: &str, value: &str) -> Result<(), OpError> {
        let have = self.sysctls.get_mut(path);
        let have = have.ok_or_else(|| error(ENOENT, "No such file or directory"))?;
        if have == value {
            return Ok(());
        }
        value.clone_into(have);
        if path == FORWARDING {
            let redirects = if value == "0" { "1" } else { "0" };
            self.sysctls.insert(ACCEPT_REDIRECTS.into(), redirects.into());
        }
        Ok(())
    }
}

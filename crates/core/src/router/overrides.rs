//! What an administrator says of an uplink beside the file is loaded like a new configuration.

use super::Router;
use crate::config::{Config, Override, effective};
use crate::io::Output;
use crate::notice::RouterNews;
use crate::time::Instant;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

impl Router {
    /// The file's configuration as it is meant now and here.
    pub(super) fn meant(&self, file: &Config) -> Config {
        self.named(effective(file, &self.desk.saved.overrides))
    }

    /// A configuration with the names that the interfaces have here.
    pub fn named(&self, config: Config) -> Config {
        self.names.named(config, self.sight())
    }

    /// Does, or with `None` ends, what somebody says of an uplink.
    pub(super) fn take_override(
        &mut self,
        now: Instant,
        uplink: &str,
        wanted: Option<Override>,
        out: &mut Vec<Output>,
    ) {
        let overrides = &mut self.desk.saved.overrides;
        let old = match wanted {
            Some(wanted) => overrides.insert(uplink.into(), wanted),
            None => overrides.remove(uplink),
        };
        let new = overrides.get(uplink);
        if old.as_ref() == new {
            return;
        }
        // Its time means nothing once it has ended.
        let ended = || old.as_ref().map(|old| format!("no longer {}", old.origin()));
        let text = new.map(Override::sentence).or_else(ended).unwrap_or_default();
        out.push(Output::tell(RouterNews::Override {
            uplink: uplink.into(),
            action: new.map(|o| o.action.participle().to_string()),
            by: new.map(|o| o.by.clone()).unwrap_or_default(),
            until: new.map(|o| o.until_wall.clone()).unwrap_or_default(),
        }));
        let config = self.meant(&self.file);
        self.load_config(now, config, out);
        let mut pairs = self.uplinks.iter_mut().zip(&self.config.uplinks);
        if let Some((uplink, _)) = pairs.find(|(_, own)| own.name == uplink) {
            uplink.note(now, text);
        }
    }

    /// True if something is said of an uplink of this name, or of one that is to come.
    pub fn is_overridden(&self, uplink: &str) -> bool {
        self.desk.saved.overrides.contains_key(uplink)
    }

    /// Ends what is over.
    pub(super) fn end_overrides(&mut self, now: Instant, out: &mut Vec<Output>) {
        let over = |o: &Override| o.until.is_some_and(|until| until <= now);
        let overrides = self.desk.saved.overrides.iter();
        let names: Vec<String> =
            overrides.filter(|(_, o)| over(o)).map(|(name, _)| name.clone()).collect();
        for name in names {
            self.take_override(now, &name, None, out);
        }
    }

    /// When the next one is over.
    pub(super) fn override_deadline(&self) -> Option<Instant> {
        self.desk.saved.overrides.values().filter_map(|o| o.until).min()
    }
}

//! What an administrator says of an uplink beside the file: `rail disable`,
//! `drain`, `prefer`.
//!
//! Each is a small change of the configuration that is not written there, so
//! that everything behind it (routes, shares, connections) is as if the file
//! said so. Promises: it ends with its time on the boot clock, with `rail
//! enable`, and with the second configuration that lacks the uplink; without a time it outlives a boot.

use super::Router;
use crate::config::{Config, Tier};
use crate::io::Output;
use crate::notice::Notice;
use crate::status::OverrideStatus;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// What to do with an uplink.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// As `enabled = false`.
    Disable,
    /// New connections avoid it while another can carry them; those there are stay.
    Drain,
    /// It is used before all others while it is usable.
    Prefer,
}

impl Action {
    /// What became of the uplink.
    pub const fn participle(self) -> &'static str {
        match self {
            Self::Disable => "disabled",
            Self::Drain => "drained",
            Self::Prefer => "preferred",
        }
    }
}

/// An [`Action`], who wants it, and how long.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Override {
    /// What to do.
    pub action: Action,
    /// Who said so.
    pub by: String,
    /// Its end; `None`: until somebody ends it.
    pub until: Option<Instant>,
    /// Its end on the wall clock, for people; empty without one.
    pub until_wall: String,
}

impl Override {
    /// `disabled by root until 2026-01-31T12:00:00.000Z`.
    pub(super) fn sentence(&self) -> String {
        let until = &self.until_wall;
        let until = if until.is_empty() { String::new() } else { format!(" until {until}") };
        format!("{}{until}", self.origin())
    }

    /// `disabled by root`.
    fn origin(&self) -> String {
        format!("{} by {}", self.action.participle(), self.by)
    }
}

/// By uplink.
pub type Overrides = BTreeMap<String, Override>;

/// The file's configuration as it is meant now.
pub(super) fn effective(file: &Config, overrides: &Overrides) -> Config {
    let mut config = file.clone();
    for uplink in &mut config.uplinks {
        match overrides.get(&uplink.name).map(|o| o.action) {
            Some(Action::Disable) => uplink.enabled = false,
            // Before the first tier of any file.
            Some(Action::Prefer) if uplink.tier != Tier::Inbound => uplink.tier = Tier::Number(0),
            Some(Action::Prefer | Action::Drain) | None => {}
        }
    }
    config
}

impl Router {
    /// Does, or with `None` ends, what somebody says of an uplink.
    pub(super) fn take_override(
        &mut self,
        now: Instant,
        uplink: &str,
        wanted: Option<Override>,
        out: &mut Vec<Output>,
    ) {
        let old = match wanted {
            Some(wanted) => self.saved.overrides.insert(uplink.into(), wanted),
            None => self.saved.overrides.remove(uplink),
        };
        let new = self.saved.overrides.get(uplink);
        if old.as_ref() == new {
            return;
        }
        // Its time means nothing once it has ended.
        let ended = || old.as_ref().map(|old| format!("no longer {}", old.origin()));
        let text = new.map(Override::sentence).or_else(ended).unwrap_or_default();
        out.push(Output::Notice(Notice::Override {
            uplink: uplink.into(),
            action: new.map(|o| o.action.participle().to_string()),
            by: new.map(|o| o.by.clone()).unwrap_or_default(),
            until: new.map(|o| o.until_wall.clone()).unwrap_or_default(),
        }));
        let config = self.meant(&self.file);
        self.take_config(now, config, out);
        if let Some(index) = self.config.uplinks.iter().position(|u| u.name == uplink) {
            self.note_history(now, index, text);
        }
    }

    /// True if something is said of an uplink of this name, or of one that is to come.
    pub fn is_overridden(&self, uplink: &str) -> bool {
        self.saved.overrides.contains_key(uplink)
    }

    /// Ends what is over.
    pub(super) fn end_overrides(&mut self, now: Instant, out: &mut Vec<Output>) {
        let over = |o: &Override| o.until.is_some_and(|until| until <= now);
        let names: Vec<String> = self
            .saved
            .overrides
            .iter()
            .filter(|(_, o)| over(o))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.take_override(now, &name, None, out);
        }
    }

    /// When the next one is over.
    pub(super) fn override_deadline(&self) -> Option<Instant> {
        self.saved.overrides.values().filter_map(|o| o.until).min()
    }

    /// Facts that come of them.
    pub(super) fn note_drained(&mut self) {
        for (uplink, fact) in self.config.uplinks.iter().zip(&mut self.facts.uplinks) {
            let said = self.saved.overrides.get(&uplink.name);
            fact.drained = said.is_some_and(|o| o.action == Action::Drain);
        }
    }

    /// For the screens.
    pub(super) fn override_status(&self, now: Instant, index: usize) -> Option<OverrideStatus> {
        let said = self.saved.overrides.get(&self.config.uplinks[index].name)?;
        Some(OverrideStatus {
            action: said.action.participle().into(),
            by: said.by.clone(),
            until: said.until_wall.clone(),
            left_s: said.until.map(|until| until.since(now).as_secs()),
            text: said.sentence(),
        })
    }
}

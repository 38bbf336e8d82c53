//! What somebody says of an uplink by command: disable, enable, drain, prefer.

use super::api::ClientId;
use super::change::ENDING;
use super::client::Said;
use super::pass::Daemon;
use crate::load;
use rail_core::config::{Config, Tier};
use rail_core::revision::{cut, ssh_path};
use rail_core::{Action, Input, Override};
use rail_linux::clock;

impl Daemon {
    /// Hands it to the core, if it can be meant.
    pub(super) fn say(&mut self, id: ClientId, said: Said) {
        let running = &self.parts.revisions.running().config;
        let is_overridden = self.parts.router.is_overridden(&said.uplink);
        if let Err(text) = self
            .is_staying()
            .and_then(|()| validate(running, is_overridden, &said))
            .and_then(|()| self.keeps_author(&said))
        {
            return self.refuse(Some(id), &text);
        }
        let Said { uplink, action, time, by, .. } = said;
        let until_wall = time.map(clock::wall_in).unwrap_or_default();
        let until = time.map(|time| clock::now() + time);
        let wanted = action.map(|action| Override { action, by, until, until_wall });
        self.handle(Input::Override(uplink, wanted));
        self.answer_good(Some(id));
    }

    /// What is said while it ends would be for the next start, which may be far off.
    fn is_staying(&self) -> Result<(), String> {
        if self.is_ending() { Err(ENDING.into()) } else { Ok(()) }
    }

    /// To be cut off for a while is bearable, for ever is not.
    fn keeps_author(&self, said: &Said) -> Result<(), String> {
        if said.action != Some(Action::Disable) || said.time.is_some() {
            return Ok(());
        }
        let router = &self.parts.router;
        let old = router.named(self.parts.revisions.running().config.clone());
        let mut new = old.clone();
        for uplink in new.uplinks.iter_mut().filter(|u| u.name == said.uplink) {
            uplink.enabled = false;
        }
        let find = |client, server| router.interface_towards(client, server);
        let path = ssh_path(&said.ssh, find);
        match path.and_then(|path| cut(&old, &new, &path)) {
            Some(why) => Err(format!("{why}. With `--for 10m` it is enabled again by itself")),
            None => Ok(()),
        }
    }
}

/// Why it cannot be meant. What was said before can be ended, whatever the file says by now.
fn validate(config: &Config, is_overridden: bool, said: &Said) -> Result<(), String> {
    let Said { uplink: name, action, .. } = said;
    if is_overridden && action.is_none() {
        return Ok(());
    }
    let Some(uplink) = config.uplinks.iter().find(|u| u.name == *name) else {
        let names: Vec<&str> = config.uplinks.iter().map(|u| u.name.as_str()).collect();
        let hint = match load::nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => format!("there are: {}", names.join(", ")),
        };
        return Err(format!("there is no uplink \"{name}\"; {hint}"));
    };
    match action {
        _ if !uplink.enabled => {
            Err(format!("uplink {name} is disabled in the configuration; set enabled = true there"))
        }
        Some(Action::Prefer | Action::Drain) if uplink.tier == Tier::Inbound => Err(format!(
            "uplink {name} has tier = \"none\": it carries no new connections from inside"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given an uplink that the file disables by now, then what was said of it before can be ended,
    /// and nothing new is said; so, too, of one that the file lacks.
    #[test]
    fn what_was_said_can_be_ended() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/good/contract.toml");
        let mut config = load::read_file(std::path::Path::new(path)).expect("valid").0;
        let said = |uplink: &str, action| Said {
            uplink: uplink.into(),
            action,
            time: None,
            by: String::new(),
            ssh: String::new(),
        };
        let name = config.uplinks[0].name.clone();
        config.uplinks[0].enabled = false;
        for name in [name.as_str(), "gone"] {
            assert_eq!(validate(&config, true, &said(name, None)), Ok(()));
            assert!(validate(&config, false, &said(name, None)).is_err());
            assert!(validate(&config, true, &said(name, Some(Action::Drain))).is_err());
        }
        config.uplinks[0].enabled = true;
        assert_eq!(validate(&config, false, &said(&name, None)), Ok(()));
    }
}

//! A link of ours: a macvlan, which has a hardware address of its own on the port of another link.
//!
//! Its mode is private: two uplinks on one port know nothing of each other, as on two ports; what a packet
//! from one to the other needs goes by the provider, or by the router's own tables. Ours bear an alias that
//! begins with [`LINK_SIGN`], also after a crash. A link of that name without it is somebody else's, and is
//! never touched.

use super::{Key, Resource};
use crate::net::{IfName, Mac};
use crate::state::{Conflict, Link, Observed, Op};
use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

/// How the alias of a link of ours begins.
pub const LINK_SIGN: &str = "rail:";

/// Driver kind.
pub const MACVLAN: &str = "macvlan";

/// `MACVLAN_MODE_PRIVATE`.
pub const MACVLAN_PRIVATE: u32 = 1;

/// What such a link is to be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Macvlan {
    /// The link that it stands on.
    pub parent: IfName,
    /// Hardware address.
    pub mac: Mac,
    /// Alias: [`LINK_SIGN`] and whose it is.
    pub alias: String,
}

impl Link {
    /// True if it bears our sign.
    pub fn is_ours(&self) -> bool {
        self.alias.starts_with(LINK_SIGN)
    }

    /// True if it is a macvlan as ours are, on the link of this index.
    pub fn is_macvlan_on(&self, parent: u32) -> bool {
        let made = (self.kind.as_str(), self.mode, self.lower);
        made == (MACVLAN, Some(MACVLAN_PRIVATE), Some(parent))
    }
}

/// The change that brings it about. Without its parent there is nothing to do.
pub(super) fn wanted(
    ifname: IfName,
    want: &Macvlan,
    observed: &Observed,
) -> Result<Option<Op>, Box<Conflict>> {
    let Some(parent) = observed.links.get(&want.parent) else { return Ok(None) };
    let value = || Resource::Link(want.clone());
    let Some(have) = observed.links.get(&ifname) else { return Ok(Some(Op::put(value()))) };
    if !have.is_ours() {
        let kind = if have.kind.is_empty() { "device" } else { have.kind.as_str() };
        let text = alloc::format!("a foreign {kind} has this name");
        return Err(Box::new(Conflict { key: Key::Link(ifname), text }));
    }
    let is_same = have.is_macvlan_on(parent.index)
        && have.identity.mac == Some(want.mac)
        && have.alias == want.alias;
    Ok((!is_same).then(|| Op::replace(value())))
}

/// Those of ours.
pub(super) fn ours(observed: &Observed) -> impl Iterator<Item = Key> {
    observed.links.iter().filter(|(_, link)| link.is_ours()).map(|(ifname, _)| Key::Link(*ifname))
}

impl fmt::Display for Macvlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parent, mac, alias } = self;
        write!(f, "macvlan of {parent} address {mac} mode private alias {alias}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Memory, State, diff};
    use alloc::vec::Vec;

    fn name(text: &str) -> IfName {
        text.parse().unwrap()
    }

    fn desired() -> State {
        let mac = Mac([2, 0, 0, 0, 0, 9]);
        let value = Macvlan { parent: name("wan1"), mac, alias: "rail:isp2".into() };
        State::from([(Key::Link(name("isp2")), Resource::Link(value))])
    }

    /// `wan1`, and `isp2` as it is to be.
    fn in_place() -> Observed {
        let mut observed = Observed::default();
        observed.links.insert(name("wan1"), Link { index: 3, ..Link::default() });
        let mut link = Link { index: 9, lower: Some(3), mode: Some(1), ..Link::default() };
        (link.kind, link.alias) = (MACVLAN.into(), "rail:isp2".into());
        link.identity.mac = Some(Mac([2, 0, 0, 0, 0, 9]));
        observed.links.insert(name("isp2"), link);
        observed
    }

    fn words(desired: &State, observed: &Observed) -> (Vec<String>, usize) {
        let (plan, conflicts) = diff(desired, observed, &Memory::default());
        let words = plan.iter().map(|step| crate::state::describe(&step.op)).collect();
        (words, conflicts.len())
    }

    /// Given a macvlan that is wanted, then it is made where its parent is, left alone if it is right,
    /// and changed if something of it differs.
    #[test]
    fn it_is_made_and_kept() {
        let value = "macvlan of wan1 address 02:00:00:00:00:09 mode private alias rail:isp2";
        assert_eq!(words(&desired(), &Observed::default()), (Vec::new(), 0));
        let mut observed = in_place();
        assert_eq!(words(&desired(), &observed), (Vec::new(), 0));
        let changes: [fn(&mut Link); 4] = [
            |link| link.mode = Some(4),
            |link| link.lower = Some(4),
            |link| link.identity.mac = None,
            |link| link.alias = "rail:isp3".into(),
        ];
        for change in changes {
            let mut observed = in_place();
            observed.links.entry(name("isp2")).and_modify(change);
            assert_eq!(
                words(&desired(), &observed),
                ([alloc::format!("replaced by {value}")].into(), 0)
            );
        }
        observed.links.remove(&name("isp2"));
        assert_eq!(words(&desired(), &observed), ([alloc::format!("created {value}")].into(), 0));
    }

    /// Given a link of that name without our sign, then it is shown and not touched; given one with the
    /// sign that is not wanted, under whatever name, then it goes.
    #[test]
    fn the_sign_says_whose_it_is() {
        let mut observed = in_place();
        observed.links.entry(name("isp2")).and_modify(|link| link.alias = "mine".into());
        assert_eq!(words(&desired(), &observed), (Vec::new(), 1));
        assert_eq!(words(&State::new(), &observed), (Vec::new(), 0));
        assert_eq!(words(&State::new(), &in_place()), (["deleted".into()].into(), 0));
    }
}

//! A link of ours: a macvlan, which has a hardware address of its own on the port of another link.
//!
//! Its mode is private: two uplinks on one port know nothing of each other, as on two ports; what a packet
//! from one to the other needs goes by the provider, or by the router's own tables. It is to be up, so one
//! that is down is not as wanted. Ours bear the alias [`link_sign`] of their own name, also after a crash. A
//! link that differs in kind, mode or alias is somebody else's, whatever its name, and is never touched.

use super::{Key, Resource, RouteValue, State, setting};
use crate::config::Links;
use crate::net::{IfName, Mac};
use crate::state::{Conflict, Link, Observed, Op, Step};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt;

/// Driver kind.
pub const MACVLAN: &str = "macvlan";

/// `MACVLAN_MODE_PRIVATE`.
pub const MACVLAN_PRIVATE: u32 = 1;

/// How the alias of a link of ours begins.
const SIGN: &str = "rail:";

/// What such a link is to be, beside up.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Macvlan {
    /// The link that it stands on.
    pub parent: IfName,
    /// Hardware address.
    pub mac: Mac,
}

/// The alias of a link of ours that has this name.
pub fn link_sign(ifname: IfName) -> String {
    format!("{SIGN}{ifname}")
}

impl Link {
    /// True if a link that has this name and is so is ours. Anybody may write such an alias on a link of
    /// another kind.
    pub fn is_ours(&self, ifname: IfName) -> bool {
        let is_made_so = self.kind == MACVLAN && self.mode == Some(MACVLAN_PRIVATE);
        is_made_so && self.alias.strip_prefix(SIGN) == Some(ifname.as_str())
    }

    /// What a macvlan that is made on this link stands on: of a link that is one itself the kernel takes
    /// the port below (`macvlan_common_newlink`). `None` if that is in another namespace.
    pub fn port_below(&self) -> Option<u32> {
        if self.is_macvlan() { self.lower } else { Some(self.index) }
    }

    fn is_macvlan(&self) -> bool {
        [MACVLAN, "macvtap"].contains(&self.kind.as_str())
    }
}

/// The change that brings it about. Without its parent there is nothing to do.
pub(super) fn wanted(
    ifname: IfName,
    want: &Macvlan,
    observed: &Observed,
) -> Result<Option<Op>, Box<Conflict>> {
    let links = &observed.links;
    let Some(parent) = links.get(&want.parent) else { return Ok(None) };
    if let Some(text) = link_obstacle(ifname, want, links) {
        return Err(Box::new(Conflict { key: Key::Link(ifname), text }));
    }
    let value = Resource::Link(*want);
    Ok(match links.get(&ifname) {
        Some(have) if want.is_met(have, parent) => None,
        Some(_) => Some(Op::replace(value)),
        None => Some(Op::put(value)),
    })
}

/// Why there cannot be such a link of this name, as far as these links tell: the words of a message.
pub fn link_obstacle(ifname: IfName, want: &Macvlan, links: &Links) -> Option<String> {
    let parent = links.get(&want.parent)?;
    match links.get(&ifname) {
        Some(have) if !have.is_ours(ifname) => {
            let kind = if have.kind.is_empty() { "device" } else { have.kind.as_str() };
            Some(format!("a foreign {kind} has this name"))
        }
        Some(have) if want.is_met(have, parent) => None,
        Some(_) | None => refusal(want, parent, links),
    }
}

impl Macvlan {
    /// True if a link of ours is as it is to be on this parent.
    fn is_met(&self, have: &Link, parent: &Link) -> bool {
        let is_there = have.up && have.lower == parent.port_below();
        is_there && have.identity.mac == Some(self.mac)
    }
}

/// Why the kernel would refuse it for as long as other links are as they are (`macvlan_addr_busy`, and
/// one handler of received packets for each link).
fn refusal(want: &Macvlan, parent: &Link, links: &Links) -> Option<String> {
    let Macvlan { parent: name, mac } = want;
    let of_index = |index: u32| links.iter().find(|(_, link)| link.index == index);
    let port = parent.port_below();
    let below = port.and_then(of_index);
    if let Some((port, _)) = below.filter(|(_, link)| link.identity.mac == Some(*mac)) {
        return Some(format!("{mac} is the hardware address of its port {port}"));
    }
    if let Some((owner, master)) = parent.master.and_then(of_index)
        && ["bridge", "bond", "team"].contains(&master.kind.as_str())
    {
        return Some(format!("its port {name} belongs to the {} {owner}", master.kind));
    }
    let has_it = |(name, other): &(&IfName, &Link)| {
        let is_beside = other.is_macvlan() && port.is_some() && other.lower == port;
        is_beside && other.up && other.identity.mac == Some(*mac) && !other.is_ours(**name)
    };
    let (other, link) = links.iter().find(has_it)?;
    Some(format!("a foreign {} on its port, {other}, has the hardware address {mac}", link.kind))
}

/// Those of ours.
pub(super) fn ours(observed: &Observed) -> impl Iterator<Item = Key> {
    let ours = observed.links.iter().filter(|(ifname, link)| link.is_ours(**ifname));
    ours.map(|(ifname, _)| Key::Link(*ifname))
}

impl Observed {
    /// Takes a step for done that makes a link of ours or changes it; for a plan of what comes after it.
    pub(crate) fn assume_link(&mut self, step: &Step) {
        let Some((ifname, want)) = making(step) else { return };
        let Some(parent) = self.links.get(&want.parent) else { return };
        let (lower, mtu) = (parent.port_below(), parent.mtu);
        let kept = self.links.get(&ifname).filter(|have| have.lower == lower);
        let last = || self.links.values().map(|link| link.index).max().unwrap_or(0);
        let index = kept.map_or_else(|| last() + 1, |link| link.index);
        if kept.is_none() {
            // What was on one of another port goes with it.
            self.addresses.retain(|(name, _), _| *name != ifname);
            let uses = |value: &RouteValue| value.uses(ifname);
            self.routes.retain(|_, route| !route.value.as_ref().is_some_and(uses));
            self.sysctls.retain(|path, _| !setting::is_of(path, ifname));
        }
        let mut link = Link { index, up: true, carrier: true, mtu, lower, ..Link::default() };
        (link.kind, link.mode) = (MACVLAN.into(), Some(MACVLAN_PRIVATE));
        (link.alias, link.identity.mac) = (link_sign(ifname), Some(want.mac));
        link.identity.is_stacked = true;
        self.links.insert(ifname, link);
    }

    /// Takes for granted that what such a step makes has none of the settings that are wanted of it: nobody
    /// can read those of a link that is not there.
    pub(crate) fn assume_settings(&mut self, step: &Step, desired: &State) {
        let Some((ifname, _)) = making(step) else { return };
        for key in desired.keys() {
            if let Key::Sysctl(path) = key
                && setting::is_of(path, ifname)
            {
                self.sysctls.entry(path.clone()).or_default();
            }
        }
    }
}

fn making(step: &Step) -> Option<(IfName, &Macvlan)> {
    match (&step.key, &step.op) {
        (Key::Link(ifname), Op::Put { value: Resource::Link(want), .. }) => Some((*ifname, want)),
        _ => None,
    }
}

impl fmt::Display for Macvlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { parent, mac } = self;
        write!(f, "macvlan of {parent} address {mac} mode private")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Memory, State, diff};
    use alloc::vec::Vec;

    const MAC: Mac = Mac([2, 0, 0, 0, 0, 9]);

    fn name(text: &str) -> IfName {
        text.parse().unwrap()
    }

    fn desired() -> State {
        let value = Macvlan { parent: name("wan1"), mac: MAC };
        State::from([(Key::Link(name("isp2")), Resource::Link(value))])
    }

    fn macvlan(index: u32, alias: &str) -> Link {
        let mut link = Link { index, up: true, lower: Some(3), mode: Some(1), ..Link::default() };
        (link.kind, link.alias) = (MACVLAN.into(), alias.into());
        link.identity.mac = Some(MAC);
        link
    }

    /// `wan1`, and `isp2` as it is to be.
    fn in_place() -> Observed {
        let mut observed = Observed::default();
        observed.links.insert(name("wan1"), Link { index: 3, ..Link::default() });
        observed.links.insert(name("isp2"), macvlan(9, "rail:isp2"));
        observed
    }

    fn words(desired: &State, observed: &Observed) -> (Vec<String>, Vec<String>) {
        let (plan, conflicts) = diff(desired, observed, &Memory::default());
        let words = plan.iter().map(|step| crate::state::describe(&step.op)).collect();
        (words, conflicts.into_iter().map(|conflict| conflict.text).collect())
    }

    fn change(text: &str) -> (Vec<String>, Vec<String>) {
        ([text.into()].into(), Vec::new())
    }

    /// Given a macvlan that is wanted, then it is made where its parent is, left alone if it is right,
    /// and changed if something of it differs, also if it is down.
    #[test]
    fn it_is_made_and_kept() {
        let value = "macvlan of wan1 address 02:00:00:00:00:09 mode private";
        assert_eq!(words(&desired(), &Observed::default()), Default::default());
        let mut observed = in_place();
        assert_eq!(words(&desired(), &observed), Default::default());
        let changes: [fn(&mut Link); 3] =
            [|link| link.up = false, |link| link.lower = Some(4), |link| link.identity.mac = None];
        for differs in changes {
            let mut observed = in_place();
            observed.links.entry(name("isp2")).and_modify(differs);
            assert_eq!(words(&desired(), &observed), change(&format!("replaced by {value}")));
        }
        observed.links.remove(&name("isp2"));
        assert_eq!(words(&desired(), &observed), change(&format!("created {value}")));
    }

    /// Given a link of that name that differs in kind, mode or the whole alias, then it is shown and not
    /// touched, wanted or not; given one of ours that is not wanted, then it goes.
    #[test]
    fn kind_and_whole_sign_say_whose_it_is() {
        let changes: [fn(&mut Link); 6] = [
            |link| link.alias = "mine".into(),
            |link| link.alias = "rail:".into(),
            |link| link.alias = "rail:isp3".into(),
            |link| link.alias = "rail:isp2, ask Bob".into(),
            |link| link.kind = "bridge".into(),
            |link| link.mode = Some(4),
        ];
        for differs in changes {
            let mut observed = in_place();
            observed.links.entry(name("isp2")).and_modify(differs);
            let (steps, conflicts) = words(&desired(), &observed);
            assert_eq!((steps.len(), conflicts.len()), (0, 1), "{observed:?}");
            assert_eq!(words(&State::new(), &observed), Default::default());
        }
        assert_eq!(words(&State::new(), &in_place()), change("deleted"));
    }

    /// Given a parent that is a macvlan itself, then ours is right on the port below, also where that is in
    /// another namespace.
    #[test]
    fn a_macvlan_is_no_port() {
        for below in [Some(2), None] {
            let mut observed = in_place();
            let parent = Link { lower: below, ..macvlan(3, "") };
            observed.links.insert(name("wan1"), parent);
            observed.links.entry(name("wan1")).and_modify(|link| link.identity.mac = None);
            assert_eq!(words(&desired(), &observed).0.len(), 1, "on the macvlan itself");
            observed.links.entry(name("isp2")).and_modify(|link| link.lower = below);
            assert_eq!(words(&desired(), &observed), Default::default());
        }
    }

    /// Given a port that has the address itself, or is a bridge's, or bears a foreign macvlan of that
    /// address, then that is said instead of trying; a foreign one that is down is in nobody's way.
    #[test]
    fn what_the_kernel_would_refuse_is_said() {
        let said = |change: &dyn Fn(&mut Observed)| {
            let mut observed = in_place();
            observed.links.remove(&name("isp2"));
            change(&mut observed);
            words(&desired(), &observed)
        };
        let port = |change: fn(&mut Link)| {
            move |observed: &mut Observed| {
                let bridge = Link { index: 7, kind: "bridge".into(), ..Link::default() };
                observed.links.insert(name("br0"), bridge);
                observed.links.entry(name("wan1")).and_modify(change);
            }
        };
        let foreign = |up| {
            move |observed: &mut Observed| {
                observed.links.insert(name("mv0"), Link { up, ..macvlan(8, "rail:isp2") });
            }
        };
        let busy = [
            (
                said(&port(|link| link.identity.mac = Some(MAC))),
                "02:00:00:00:00:09 is the hardware address of its port wan1",
            ),
            (said(&port(|link| link.master = Some(7))), "its port wan1 belongs to the bridge br0"),
            (
                said(&foreign(true)),
                "a foreign macvlan on its port, mv0, has the hardware address 02:00:00:00:00:09",
            ),
        ];
        for (said, text) in busy {
            assert_eq!(said, (Vec::new(), [text.into()].into()));
        }
        assert_eq!(said(&foreign(false)).0.len(), 1);
    }
}

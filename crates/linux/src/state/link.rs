//! Links of ours: made, changed, deleted. Ours bear our sign in their alias, and a look before each
//! change tells; other links are left alone.

use super::unless;
use crate::netlink::{RequestSocket, error};
use rail_core::net::IfName;
use rail_core::state::{LINK_SIGN, Macvlan, OpError};
use rail_wire::netlink::{LinkMessage, MACVLAN, MacvlanMessage};

impl RequestSocket {
    /// What differs in more than address and alias is made anew.
    pub(super) fn put_link(&mut self, ifname: IfName, value: &Macvlan) -> Result<(), OpError> {
        let parent = self.index_of(value.parent)?;
        let Macvlan { mac, alias, .. } = value;
        let wanted = MacvlanMessage { name: ifname.as_str(), parent, mac: mac.0, alias };
        if let Some(found) = self.link(ifname)? {
            if !is_ours(&found) {
                return Err(error(libc::EEXIST, &format!("a foreign link is called {ifname}")));
            }
            let place = &found.place;
            let made = (place.kind.as_str(), place.mode, place.lower);
            if made == (MACVLAN, Some(MacvlanMessage::PRIVATE), Some(parent)) {
                return self.change(&wanted.change(found.index));
            }
            self.change(&MacvlanMessage::remove(found.index))?;
        }
        self.change(&wanted.add())
    }

    pub(super) fn drop_link(&mut self, ifname: IfName) -> Result<(), OpError> {
        let Some(found) = self.link(ifname)?.filter(is_ours) else { return Ok(()) };
        unless(self.change(&MacvlanMessage::remove(found.index)), &[libc::ENODEV])
    }
}

fn is_ours(link: &LinkMessage) -> bool {
    link.place.alias.starts_with(LINK_SIGN)
}

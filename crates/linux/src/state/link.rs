//! Links of ours: made, changed, deleted. Kind, mode and alias tell whose one is, and a look before each
//! change sees to that; other links are left alone.

use super::unless;
use crate::netlink::{RequestSocket, error};
use rail_core::net::IfName;
use rail_core::state::{Link, Macvlan, OpError, link_sign};
use rail_wire::netlink::MacvlanMessage;

impl RequestSocket {
    /// What differs in more than address and state is made anew.
    pub(super) fn put_link(&mut self, ifname: IfName, value: &Macvlan) -> Result<(), OpError> {
        let links = self.links(false)?;
        let no_port = || error(libc::ENODEV, &format!("there is no link {}", value.parent));
        let parent = links.get(&value.parent).ok_or_else(no_port)?;
        let found = links.get(&ifname);
        if found.is_some_and(|found| !found.is_ours(ifname)) {
            return Err(error(libc::EEXIST, &format!("a foreign link is called {ifname}")));
        }
        let port = parent.port_below();
        // Two links of one address cannot be up on one port. The other one is no longer wanted so, or it
        // is to have another address, and is made anew.
        let is_in_the_way = |(name, link): &(&IfName, &Link)| {
            let is_beside = port.is_some() && link.lower == port && **name != ifname;
            is_beside && link.identity.mac == Some(value.mac) && link.is_ours(**name)
        };
        for (_, link) in links.iter().filter(is_in_the_way) {
            self.remove(link.index)?;
        }
        let sign = link_sign(ifname);
        let (name, mac) = (ifname.as_str(), value.mac.0);
        let wanted = MacvlanMessage { name, parent: parent.index, mac, alias: &sign };
        match found {
            Some(found) if found.lower == port => self.change(&wanted.change(found.index)),
            Some(found) => self.remove(found.index).and_then(|()| self.make(ifname, &wanted)),
            None => self.make(ifname, &wanted),
        }
    }

    /// One that could not be signed does not stay: nobody would know whose it is.
    fn make(&mut self, ifname: IfName, wanted: &MacvlanMessage<'_>) -> Result<(), OpError> {
        let made = self.change(&wanted.add());
        if made.is_err()
            && let Some(left) = self.link(ifname)?
            && left.mac == Some(wanted.mac)
            && left.place.alias.is_empty()
        {
            self.remove(left.index)?;
        }
        made
    }

    pub(super) fn drop_link(&mut self, ifname: IfName) -> Result<(), OpError> {
        let links = self.links(false)?;
        let found = links.get(&ifname).filter(|found| found.is_ours(ifname));
        found.map_or(Ok(()), |found| self.remove(found.index))
    }

    fn remove(&mut self, index: u32) -> Result<(), OpError> {
        unless(self.change(&MacvlanMessage::remove(index)), &[libc::ENODEV])
    }
}

//! Links of ours in the fake kernel: a macvlan lives and dies with its port.

use super::{EADDRINUSE, EEXIST, ENODEV, Kernel, error};
use rail_core::net::IfName;
use rail_core::state::{Link, MACVLAN, MACVLAN_PRIVATE, Macvlan, OpError, link_sign};

impl Kernel {
    pub(super) fn put_link(&mut self, ifname: IfName, value: &Macvlan) -> Result<(), OpError> {
        let parent = self.links.get(&value.parent).cloned();
        let parent = parent.ok_or_else(|| error(ENODEV, "No such device"))?;
        if self.links.get(&ifname).is_some_and(|have| !have.is_ours(ifname)) {
            return Err(error(EEXIST, "File exists"));
        }
        let port = parent.port_below();
        let has_address = |link: &Link| link.lower == port && link.identity.mac == Some(value.mac);
        let others = self.links.iter().filter(|(name, link)| **name != ifname && has_address(link));
        let (ours, foreign): (Vec<_>, Vec<_>) =
            others.map(|(name, link)| (*name, link)).partition(|(name, link)| link.is_ours(*name));
        let is_the_ports =
            |link: &Link| Some(link.index) == port && link.identity.mac == Some(value.mac);
        if foreign.iter().any(|(_, link)| link.up) || self.links.values().any(is_the_ports) {
            return Err(error(EADDRINUSE, "Address already in use"));
        }
        let ours: Vec<IfName> = ours.into_iter().map(|(name, _)| name).collect();
        let is_elsewhere = self.links.get(&ifname).is_some_and(|have| have.lower != port);
        for name in ours.into_iter().chain(is_elsewhere.then_some(ifname)) {
            self.remove_link(name);
        }
        if !self.links.contains_key(&ifname) {
            self.add_link(ifname, parent.up && parent.carrier);
        }
        if let Some(link) = self.links.get_mut(&ifname) {
            (link.kind, link.mode) = (MACVLAN.into(), Some(MACVLAN_PRIVATE));
            (link.lower, link.alias) = (port, link_sign(ifname));
            link.identity.mac = Some(value.mac);
        }
        self.set_up(ifname, true);
        Ok(())
    }

    /// Deletes a link of ours.
    pub(super) fn drop_link(&mut self, ifname: IfName) -> Result<(), OpError> {
        if self.links.get(&ifname).is_some_and(|link| link.is_ours(ifname)) {
            self.remove_link(ifname);
        }
        Ok(())
    }

    /// A macvlan has a carrier while its port is up and has one.
    pub(super) fn pass_carrier_on(&mut self, port: IfName) {
        let has_carrier = self.links.get(&port).is_some_and(|port| port.up && port.carrier);
        for macvlan in self.macvlans_on(port) {
            self.set_carrier(macvlan, has_carrier);
        }
    }

    /// The macvlans on a link.
    pub(super) fn macvlans_on(&self, ifname: IfName) -> Vec<IfName> {
        let Some(index) = self.links.get(&ifname).map(|link| link.index) else { return Vec::new() };
        let stands = |link: &Link| link.kind == MACVLAN && link.lower == Some(index);
        self.links.iter().filter(|(_, link)| stands(link)).map(|(name, _)| *name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rail_core::net::Mac;
    use rail_core::state::{Key, Op, Resource, Step};

    fn name(text: &str) -> IfName {
        text.parse().unwrap()
    }

    fn put(ifname: &str, mac: u8) -> Step {
        let value = Macvlan { parent: name("wan1"), mac: Mac([2, 0, 0, 0, 0, mac]) };
        Step { key: Key::Link(name(ifname)), op: Op::put(Resource::Link(value)) }
    }

    /// Given a macvlan on a port, when the port loses its carrier, then so does the macvlan; when the port
    /// goes, then it goes, too; one of somebody else is neither changed nor deleted.
    #[test]
    fn it_lives_with_its_port() {
        let mut kernel = Kernel::new(true);
        let (port, own) = (name("wan1"), name("isp2"));
        let delete = Step { key: Key::Link(own), op: Op::Drop };
        assert_eq!(kernel.apply(&put("isp2", 9)).unwrap_err().errno, ENODEV);
        kernel.add_link(port, true);
        kernel.set_up(port, true);
        kernel.apply(&put("isp2", 9)).unwrap();
        let link = &kernel.links[&own];
        assert!(link.up && link.carrier && link.is_ours(own));
        kernel.set_carrier(port, false);
        assert!(!kernel.links[&own].carrier);
        kernel.remove_link(port);
        assert!(!kernel.links.contains_key(&own));
        kernel.add_link(port, true);
        kernel.add_link(own, true);
        kernel.links.get_mut(&own).unwrap().alias = link_sign(own);
        assert_eq!(kernel.apply(&put("isp2", 9)).unwrap_err().errno, EEXIST);
        kernel.apply(&delete).unwrap();
        assert!(kernel.links.contains_key(&own));
    }

    /// Given two macvlans of ours on a port, when each is to have the other's address, then both have it;
    /// the address of the port, and that of a foreign one that is up, are refused.
    #[test]
    fn an_address_is_up_once_on_a_port() {
        let mut kernel = Kernel::new(true);
        kernel.add_link(name("wan1"), true);
        for step in [put("a", 1), put("b", 2), put("a", 2), put("b", 1)] {
            kernel.apply(&step).unwrap();
        }
        let mac = |kernel: &Kernel, ifname: &str| kernel.links[&name(ifname)].identity.mac.unwrap();
        assert_eq!(mac(&kernel, "a"), Mac([2, 0, 0, 0, 0, 2]));
        assert_eq!(mac(&kernel, "b"), Mac([2, 0, 0, 0, 0, 1]));
        kernel.links.get_mut(&name("b")).unwrap().alias = "mine".into();
        assert_eq!(kernel.apply(&put("a", 1)).unwrap_err().errno, EADDRINUSE);
        kernel.links.get_mut(&name("wan1")).unwrap().identity.mac = Some(Mac([2, 0, 0, 0, 0, 7]));
        assert_eq!(kernel.apply(&put("a", 7)).unwrap_err().errno, EADDRINUSE);
    }
}

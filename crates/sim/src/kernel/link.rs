//! Links of ours in the fake kernel: a macvlan lives and dies with its port.

use super::{EEXIST, ENODEV, Kernel, error};
use rail_core::net::IfName;
use rail_core::state::{Link, MACVLAN, MACVLAN_PRIVATE, Macvlan, OpError};

impl Kernel {
    pub(super) fn put_link(&mut self, ifname: IfName, value: &Macvlan) -> Result<(), OpError> {
        let parent = self.links.get(&value.parent).cloned();
        let parent = parent.ok_or_else(|| error(ENODEV, "No such device"))?;
        if let Some(have) = self.links.get(&ifname) {
            if !have.is_ours() {
                return Err(error(EEXIST, "File exists"));
            }
            if !have.is_macvlan_on(parent.index) {
                self.remove_link(ifname);
            }
        }
        if !self.links.contains_key(&ifname) {
            self.add_link(ifname, parent.up && parent.carrier);
        }
        if let Some(link) = self.links.get_mut(&ifname) {
            (link.kind, link.mode) = (MACVLAN.into(), Some(MACVLAN_PRIVATE));
            (link.lower, link.alias) = (Some(parent.index), value.alias.clone());
            link.identity.mac = Some(value.mac);
        }
        Ok(())
    }

    /// Deletes a link of ours.
    pub(super) fn drop_link(&mut self, ifname: IfName) -> Result<(), OpError> {
        if self.links.get(&ifname).is_some_and(Link::is_ours) {
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

    /// Given a macvlan on a port, when the port loses its carrier, then so does the macvlan; when the port
    /// goes, then it goes, too; one of somebody else is neither changed nor deleted.
    #[test]
    fn it_lives_with_its_port() {
        let mut kernel = Kernel::new(true);
        let (port, own): (IfName, IfName) = ("wan1".parse().unwrap(), "isp2".parse().unwrap());
        let value =
            Macvlan { parent: port, mac: Mac([2, 0, 0, 0, 0, 9]), alias: "rail:isp2".into() };
        let put = Step { key: Key::Link(own), op: Op::put(Resource::Link(value)) };
        let delete = Step { key: Key::Link(own), op: Op::Drop };
        assert_eq!(kernel.apply(&put).unwrap_err().errno, ENODEV);
        kernel.add_link(port, true);
        kernel.set_up(port, true);
        kernel.apply(&put).unwrap();
        assert!(kernel.links[&own].carrier && kernel.links[&own].is_ours());
        kernel.set_carrier(port, false);
        assert!(!kernel.links[&own].carrier);
        kernel.remove_link(port);
        assert!(!kernel.links.contains_key(&own));
        kernel.add_link(port, true);
        kernel.add_link(own, true);
        assert_eq!(kernel.apply(&put).unwrap_err().errno, EEXIST);
        kernel.apply(&delete).unwrap();
        assert!(kernel.links.contains_key(&own));
    }
}

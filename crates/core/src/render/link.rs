//! Links of ours: an uplink with `parent` and `mac` has one, called as its interface.

use super::view::View;
use crate::state::{Key, Macvlan, Resource, State};

/// Adds those of enabled uplinks.
pub(super) fn render(state: &mut State, view: &View<'_>) {
    for uplink in view.enabled() {
        let Some(own) = uplink.own_link else { continue };
        // While the file means its port, or itself, by something else, too, there is none.
        if !own.port.is_nowhere() && !uplink.ifname.is_nowhere() {
            let value = Macvlan { parent: own.port, mac: own.mac };
            state.insert(Key::Link(uplink.ifname), Resource::Link(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{OwnLink, Tier};
    use crate::net::Mac;
    use crate::render::render;
    use crate::render::tests::{config, facts};
    use crate::state::{Key, Resource};

    /// Given an uplink by a link of its own on a port, then the link is wanted, the port is closed
    /// as the uplink is and answers for no address; disabled it has no link.
    #[test]
    fn a_link_of_its_own() {
        let mut config = config(&[(1, Tier::Number(1)), (1, Tier::Number(1))]);
        let mac = Mac([2, 0, 0, 0, 0, 2]);
        config.uplinks[1].own_link = Some(OwnLink::on("port2".parse().unwrap(), mac));
        let state = render(&config, &facts(&config, &[0, 1]));
        let key = Key::Link("wan2".parse().unwrap());
        let Some(Resource::Link(link)) = state.get(&key) else { panic!("no link") };
        assert_eq!((link.parent.as_str(), link.mac), ("port2", mac));
        for device in ["port2", "wan2"] {
            let path = alloc::format!("net/ipv4/conf/{device}/arp_ignore");
            assert_eq!(state.get(&Key::Sysctl(path)), Some(&Resource::Sysctl("1".into())));
        }
        assert!(!state.contains_key(&Key::Sysctl("net/ipv4/conf/wan1/arp_ignore".into())));
        let Some(Resource::Firewall(table)) = state.get(&Key::Firewall) else { panic!("no table") };
        for name in ["input", "forward"] {
            let chain = table.chains.iter().find(|chain| chain.name == name).unwrap();
            let closes =
                |rule: &str| rule.contains("iifname vmap") && rule.contains("\"port2\" : goto");
            assert!(chain.rules.iter().any(|rule| closes(rule)), "{name}: {:?}", chain.rules);
        }
        config.uplinks[1].enabled = false;
        assert!(!render(&config, &facts(&config, &[0, 1])).contains_key(&key));
    }
}

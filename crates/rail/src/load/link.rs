//! `parent` and `mac` of an uplink: a link of rail's own on a port that it shares.

use super::reader::{At, Node, Reader, Section, shown};
use super::router::{interface, mac};
use super::uplink::Draft;
use super::validate::Parts;
use rail_core::config::{OwnLink, Selector};
use rail_core::net::{IfName, Mac};
use std::ops::Range;

/// Both keys, and where they stand.
pub(super) struct Own {
    pub(super) value: OwnLink,
    parent: Range<usize>,
    mac: Range<usize>,
}

/// Reads both keys; `None` without them, or if a problem was noted.
pub(super) fn own(reader: &mut Reader, section: &Section<'_>) -> Option<Own> {
    let (parent, address) = match (section.get("parent"), section.get("mac")) {
        (None, None) => return None,
        (Some(parent), Some(address)) => (parent, address),
        (None, Some(_)) => {
            reader.missing(section, "parent", "\"eth0\"");
            return None;
        }
        (Some(_), None) => {
            reader.missing(section, "mac", "\"02:00:00:00:00:02\"");
            return None;
        }
    };
    let name = named(reader, parent, "parent", "write the name that the port has now");
    let mac = hardware_address(reader, address);
    if let Some(node) = section.get("interface") {
        let own =
            named(reader, node, "interface", "with `parent` it is the name of a link of rail's");
        if own.is_some() && own == name {
            let text = "`interface` and `parent` are the same";
            let hint = "`parent` has the port, `interface` is how the new link on it is called";
            reader.error(node.span(), text).also(&parent.span(), "the port").hint(hint);
            return None;
        }
    }
    let value = OwnLink::on(name?, mac?);
    Some(Own { value, parent: parent.span(), mac: address.span() })
}

/// A name that the kernel takes, and nothing that stands for one.
fn named(reader: &mut Reader, node: Node<'_>, key: &str, hint: &str) -> Option<IfName> {
    let Selector::Name(text) = interface(reader, node, key)? else {
        reader.error(node.span(), format!("`{key}` must be a plain name here")).hint(hint);
        return None;
    };
    match text.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            reader.error(node.span(), format!("`{key}`: {error}")).hint(hint);
            None
        }
    }
}

fn hardware_address(reader: &mut Reader, node: Node<'_>) -> Option<Mac> {
    let example = "six pairs of digits: \"02:00:00:00:00:02\"";
    let text = reader.text(node, "mac", example)?;
    let Some(Mac(bytes)) = mac(text) else {
        let text = format!("`mac`: \"{}\" is no hardware address", shown(text));
        reader.error(node.span(), text).hint(example);
        return None;
    };
    if bytes[0] & GROUP != 0 || bytes == [0; 6] {
        let text = format!("`mac`: {} is not the address of one host", Mac(bytes));
        reader.error(node.span(), text).hint("the second digit of the first pair is even");
        return None;
    }
    if bytes[0] & LOCAL == 0 {
        let text = format!("`mac`: {} may belong to a real card", Mac(bytes));
        let hint = "an address of your own has 2, 6, a or e as its second digit";
        reader.warning(node.span(), text).hint(hint);
    }
    Some(Mac(bytes))
}

/// Links of ours must differ, and stand outside, on ports that are none of them.
pub(super) fn agree(reader: &mut Reader, index: usize, parts: &Parts<'_>) {
    let (uplink, earlier) = (&parts.uplinks[index], &parts.uplinks[..index]);
    if let Some(own) = &uplink.own_link {
        outside(reader, (uplink, own), parts);
        on_a_port(reader, own, parts.uplinks);
        alone_with_its_address(reader, (uplink, own), earlier);
    }
    let is_same =
        |other: &&Draft| name_of(other) == name_of(uplink) && link_of(other) != link_of(uplink);
    if let Some(first) = earlier.iter().find(is_same)
        && let (Some(here), Some(there)) = (&uplink.interface, &first.interface)
    {
        let text = format!("the interface {} is meant to be two links", here.value);
        let hint = "uplinks on one interface have the same `parent` and `mac`, or none";
        reader.error(here.span.clone(), text).also(&there.span, "first here").hint(hint);
    }
}

fn link_of(draft: &Draft) -> Option<&OwnLink> {
    draft.own_link.as_ref().map(|own| &own.value)
}

fn name_of(draft: &Draft) -> Option<&Selector> {
    draft.interface.as_ref().map(|at| &at.value)
}

fn outside(reader: &mut Reader, (uplink, own): (&Draft, &Own), parts: &Parts<'_>) {
    let inside = || parts.networks.iter().filter_map(|network| network.interface.as_ref());
    let parent = &own.value.parent;
    if let Some(network) = inside().find(|at| at.value == *parent) {
        let text = format!("the port {parent} is inside");
        reader.error(own.parent.clone(), text).also(&network.span, "the network");
    }
    let is_own = |at: &&At<Selector>| Some(&at.value) == name_of(uplink);
    if let Some(network) = inside().find(is_own)
        && let Some(at) = &uplink.interface
    {
        let text = format!("the link {} of rail's own is inside", at.value);
        let hint = "a link with `parent` is for an uplink alone";
        reader.error(at.span.clone(), text).also(&network.span, "the network").hint(hint);
    }
}

/// The kernel would put it on the port below, and in a circle there is none.
fn on_a_port(reader: &mut Reader, own: &Own, uplinks: &[Draft]) {
    let is_parent =
        |other: &&Draft| other.own_link.is_some() && name_of(other) == Some(&own.value.parent);
    if let Some(other) = uplinks.iter().find(is_parent)
        && let Some(at) = &other.interface
    {
        let text = format!("the port {} is a link of rail's own", own.value.parent);
        let hint = "name the port that it stands on";
        reader.error(own.parent.clone(), text).also(&at.span, "the link").hint(hint);
    }
}

fn alone_with_its_address(reader: &mut Reader, (uplink, here): (&Draft, &Own), earlier: &[Draft]) {
    let has_it =
        |other: &&Draft| link_of(other) == Some(&here.value) && name_of(other) != name_of(uplink);
    if let Some(first) = earlier.iter().find(has_it)
        && let Some(there) = &first.own_link
    {
        let OwnLink { mac, parent, .. } = &here.value;
        let text = format!("the hardware address {mac} is given twice on {parent}");
        reader.error(here.mac.clone(), text).also(&there.mac, "first here");
    }
}

/// First byte: of a group of hosts.
const GROUP: u8 = 1;
/// First byte: given by an administrator, not by a maker of cards.
const LOCAL: u8 = 2;

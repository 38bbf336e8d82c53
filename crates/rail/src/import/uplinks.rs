//! `uplinks` of fault_tolerant_router.

use super::draft::Draft;
use super::length::{Length, length};
use super::notes::{At, Notes, Section};
use rail_core::config::MOST_UPLINKS;
use rail_core::net::{IfName, Prefix};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::ops::Range;

/// An uplink as far as it could be understood.
struct Uplink<'a> {
    section: Section<'a>,
    is_ppp: bool,
    interface: Option<At<String>>,
    address: Option<At<Ipv4Addr>>,
    gateway: Option<At<Ipv4Addr>>,
    description: Option<At<String>>,
    weight: Option<At<i64>>,
    group: Group,
}

/// Who takes part in sharing, and when.
#[derive(Copy, Clone)]
enum Group {
    /// Lower ones first.
    Number(i64),
    Inbound,
}

impl Uplink<'_> {
    /// Nothing that it needs is missing.
    fn is_whole(&self) -> bool {
        let is_attached = self.address.is_some() && self.gateway.is_some();
        self.interface.is_some() && (self.is_ppp || is_attached)
    }
}

/// Writes the uplinks; how many there are.
pub(super) fn convert(
    notes: &mut Notes,
    draft: &mut Draft,
    root: &Section<'_>,
    source: &str,
    here: &[(IfName, Prefix)],
) -> usize {
    let Some(uplinks) = read(notes, root) else { return 0 };
    let tiers = Tiers::of(&uplinks);
    let mut taken = BTreeSet::new();
    for (index, uplink) in uplinks.iter().enumerate() {
        shares_interface(notes, uplink, &uplinks[..index]);
        if uplink.is_whole() {
            let name = name(uplink, &mut taken);
            let mut writer =
                Writer { notes: &mut *notes, draft: &mut *draft, source, tiers: &tiers };
            writer.write(uplink, index + 1, &name, here);
        }
    }
    uplinks.len()
}

fn read<'a>(notes: &mut Notes, root: &Section<'a>) -> Option<Vec<Uplink<'a>>> {
    let Some(node) = root.value("uplinks") else {
        notes.missing(root, "uplinks", "a list, each element with interface, ip and gateway");
        return None;
    };
    let items = notes.list(node, "uplinks")?;
    let most = usize::from(MOST_UPLINKS);
    if items.is_empty() || items.len() > most {
        let text = match items.len() {
            0 => "`uplinks` is empty".to_owned(),
            count => format!("{count} uplinks are more than {most}"),
        };
        notes.error(&node.span, text);
        return None;
    }
    let sections: Vec<Section<'a>> = items
        .iter()
        .filter_map(|item| notes.mapping(item, "uplinks[..]", "uplinks.", KEYS))
        .collect();
    // The key came with version 1.2, and there an uplink without it is for what comes in.
    let is_old = !sections.iter().any(|section| section.get("priority_group").is_some());
    Some(sections.into_iter().map(|section| uplink(notes, section, is_old)).collect())
}

fn uplink<'a>(notes: &mut Notes, section: Section<'a>, is_old: bool) -> Uplink<'a> {
    let is_ppp = match section.value("type") {
        None => false,
        Some(node) => match node.text() {
            Some("ppp") => true,
            Some("static") => false,
            _ => {
                let text = "`uplinks.type` must be static or ppp";
                notes.error(&node.span, text).hint(
                    "rail leases addresses: write static, and in the result address = \"dhcp\"",
                );
                false
            }
        },
    };
    let required = |notes: &mut Notes, key, example| {
        let node = section.value(key);
        if node.is_none() {
            notes.missing(&section, key, example);
        }
        node
    };
    let interface = required(notes, "interface", "interface: eth1");
    let interface = interface.and_then(|node| notes.text(node, "uplinks.interface"));
    let (mut address, mut gateway) = (None, None);
    if !is_ppp {
        let node = required(notes, "ip", "ip: 198.51.100.2");
        address = node.and_then(|node| notes.address(node, "uplinks.ip"));
        let node = required(notes, "gateway", "gateway: 198.51.100.1");
        gateway = node.and_then(|node| notes.address(node, "uplinks.gateway"));
    }
    let description = section.value("description");
    let description = description.and_then(|node| notes.text(node, "uplinks.description"));
    let weight = section.value("weight");
    let weight = weight.and_then(|node| notes.integer(node, "uplinks.weight"));
    let group = group(notes, &section, is_old);
    Uplink { section, is_ppp, interface, address, gateway, description, weight, group }
}

fn group(notes: &mut Notes, section: &Section<'_>, is_old: bool) -> Group {
    let default_route = section.value("default_route");
    let default_route = default_route.and_then(|node| notes.boolean(node, "uplinks.default_route"));
    let group = section.value("priority_group");
    let group = group.and_then(|node| notes.integer(node, "uplinks.priority_group"));
    match group {
        _ if default_route == Some(false) => Group::Inbound,
        Some(group) => Group::Number(group.value),
        None if is_old => Group::Number(1),
        None => Group::Inbound,
    }
}

/// Theirs knew an uplink by its interface.
fn shares_interface(notes: &mut Notes, uplink: &Uplink<'_>, earlier: &[Uplink<'_>]) {
    let Some(interface) = &uplink.interface else { return };
    let of =
        |other: &&Uplink<'_>| other.interface.as_ref().is_some_and(|i| i.value == interface.value);
    if let Some(first) = earlier.iter().find(of).and_then(|other| other.interface.as_ref()) {
        let text = format!("two uplinks on the interface {}", interface.value);
        notes
            .warn(&interface.span, text)
            .also(&first.span, "the first uplink")
            .hint("fault_tolerant_router mixed them up; rail tells them apart by their gateways");
    }
}

/// What uplinks are called: after their description, or after their interface.
fn name(uplink: &Uplink<'_>, taken: &mut BTreeSet<String>) -> String {
    let description = uplink.description.as_ref().and_then(|at| slug(&at.value));
    let interface = || uplink.interface.as_ref().and_then(|at| slug(&at.value));
    let base = description.or_else(interface).unwrap_or_else(|| "uplink".to_owned());
    let numbered = (2_usize..).map(|number| format!("{base}-{number}"));
    let mut names = std::iter::once(base.clone()).chain(numbered);
    let name = names.find(|name| !taken.contains(name)).unwrap_or_default();
    taken.insert(name.clone());
    name
}

/// Text as a name of ours, with room for a number behind it. Letters that names do not have would
/// leave something that nobody recognises.
fn slug(text: &str) -> Option<String> {
    if text.chars().any(|c| !c.is_ascii() && c.is_alphanumeric()) {
        return None;
    }
    let mut slug = String::new();
    for c in text.chars() {
        match c.to_ascii_lowercase() {
            c if c.is_ascii_alphanumeric() || matches!(c, '_' | '.') => slug.push(c),
            _ if slug.ends_with('-') => {}
            _ => slug.push('-'),
        }
    }
    slug = slug.trim_start_matches(['-', '.']).chars().take(28).collect();
    let slug = slug.trim_end_matches(['-', '.']);
    (!slug.is_empty()).then(|| slug.to_owned())
}

/// The groups as tiers: the numbers as they are, or else their order.
struct Tiers {
    groups: Vec<i64>,
    is_same: bool,
}

impl Tiers {
    fn of(uplinks: &[Uplink<'_>]) -> Self {
        let groups: BTreeSet<i64> = uplinks
            .iter()
            .filter_map(|uplink| match uplink.group {
                Group::Number(number) => Some(number),
                Group::Inbound => None,
            })
            .collect();
        let is_same = groups.iter().all(|group| (1..=1000).contains(group));
        Self { groups: groups.into_iter().collect(), is_same }
    }

    fn tier(&self, group: i64) -> i64 {
        let place = self.groups.iter().position(|other| *other == group).unwrap_or(0);
        if self.is_same { group } else { i64::try_from(place + 1).unwrap_or(1) }
    }
}

/// Writes blocks.
struct Writer<'a> {
    notes: &'a mut Notes,
    draft: &'a mut Draft,
    source: &'a str,
    tiers: &'a Tiers,
}

impl Writer<'_> {
    fn write(&mut self, uplink: &Uplink<'_>, number: usize, name: &str, here: &[(IfName, Prefix)]) {
        let section = &uplink.section;
        let Some(interface) = &uplink.interface else { return };
        self.draft.gap();
        if uplink.is_ppp {
            self.ppp(section, &interface.value);
        }
        self.draft.header("[[uplink]]", &format!("uplinks, number {number}"), &section.span);
        let origin = match &uplink.description {
            Some(_) => "from description, for commands",
            None => "from interface, for commands",
        };
        self.draft.set_text("name", name, origin, &section.span);
        if let Some(At { value, span }) = &uplink.description {
            let cut: String = value.chars().take(LONGEST_DESCRIPTION).collect();
            self.draft.set_text("description", &cut, "description", span);
        }
        self.draft.set_text("interface", &interface.value, "interface", &interface.span);
        if let (Some(address), Some(gateway)) = (&uplink.address, &uplink.gateway) {
            let length = length(&interface.value, address.value, gateway.value, here);
            self.attached(section, address, gateway, length);
        }
        if uplink.is_ppp {
            self.draft.set_text("address", "keep", "type: ppp", &section.span);
        }
        self.tier(uplink);
        match &uplink.weight {
            Some(At { value, span }) => {
                self.draft.set("weight", &value.to_string(), "weight", span);
            }
            None if section.get("weight").is_some() => self.draft.say("weight: blank, so 1."),
            None => {}
        }

        self.rest(uplink);
    }

    /// What stands above the block of a ppp uplink. That program finds the interface there, dialled by somebody
    /// else, whose settings its file does not hold: so it stays, and rail follows what that sets.
    fn ppp(&mut self, section: &Section<'_>, interface: &str) {
        let place = section.get("type").map_or(&section.span, |entry| &entry.value.span);
        self.notes
            .warn(place, format!("{interface} is dialled by another program, and stays so"))
            .hint(
                "rail follows what that sets; it can dial itself: address = \"ppp\" (docs/ppp.md)",
            );
        self.draft.say(&format!(
            "Type ppp: another program dials {interface}, and rail follows what that sets. rail can dial itself \
             (docs/ppp.md): then write address = \"ppp\", say in `ppp` through what and as whom, and end that program."
        ));
    }

    fn attached(
        &mut self,
        section: &Section<'_>,
        address: &At<Ipv4Addr>,
        gateway: &At<Ipv4Addr>,
        found: Length,
    ) {
        let Length { length, is_onlink, is_seen } = found;
        let origin = if is_seen {
            "ip; the prefix length is that of this machine's interface"
        } else {
            let outside = if is_onlink { ", and the gateway outside" } else { "" };
            let text =
                format!("the prefix length of {} is a guess: /{length}{outside}", address.value);
            let hint = "run this on the router, whose interface has the address, or write what the \
                        provider told";
            self.notes.warn(&address.span, text).hint(hint);
            "ip; the prefix length is A GUESS"
        };
        if !is_seen {
            self.draft.say(match is_onlink {
                false => {
                    "GUESS: the file has no prefix length. This is the longest that holds the address and \
                     the gateway; write what the provider told, or `ip addr` shows."
                }
                true => {
                    "GUESS: the file has no prefix length, and address and gateway have little in common. \
                     So the gateway is asked for on the interface; write what the provider told."
                }
            });
        }
        let kind = if section.get("type").is_some() { "type: static; " } else { "" };
        let (text, origin) = (format!("{}/{length}", address.value), format!("{kind}{origin}"));
        self.draft.set_text("address", &text, &origin, &address.span);
        self.draft.set_text("gateway", &gateway.value.to_string(), "gateway", &gateway.span);
        if is_onlink {
            let origin = "the gateway lies outside the prefix";
            self.draft.set("gateway_onlink", "true", origin, &gateway.span);
        }
    }

    fn tier(&mut self, uplink: &Uplink<'_>) {
        let section = &uplink.section;
        let place = |key: &str| -> Range<usize> {
            section.get(key).map_or(section.span.clone(), |entry| entry.value.span.clone())
        };
        let key = match (section.value("priority_group"), section.value("default_route")) {
            (None, Some(_)) => "default_route",
            _ => "priority_group",
        };
        match uplink.group {
            Group::Number(group) => {
                let tier = self.tiers.tier(group).to_string();
                let origin = match section.value("priority_group") {
                    Some(_) if self.tiers.is_same => "priority_group".to_owned(),
                    Some(_) => format!("priority_group: {group}; in order, from 1 on"),
                    None if key == "default_route" => "default_route: true".to_owned(),
                    None => "no default_route: as if true".to_owned(),
                };
                self.draft.set("tier", &tier, &origin, &place(key));
            }
            Group::Inbound => {
                let origin = match section.value("default_route").and_then(|node| node.boolean()) {
                    Some(false) => "default_route: false: inbound only",
                    _ => "priority_group is blank: inbound only",
                };
                self.draft.set("tier", "\"none\"", origin, &place(key));
            }
        }
    }

    /// Keys that became nothing.
    fn rest(&mut self, uplink: &Uplink<'_>) {
        let section = &uplink.section;
        for key in ["ip", "gateway"] {
            if let Some(entry) = section.get(key).filter(|_| uplink.is_ppp) {
                self.draft.say(&format!(
                    "Not used, by fault_tolerant_router neither, with type ppp: {key}"
                ));
                self.draft.cite(self.source, entry);
            }
        }
        if let Some(At { value, .. }) = &uplink.description
            && value.chars().count() > LONGEST_DESCRIPTION
        {
            self.draft.say(&format!("`description` has {LONGEST_DESCRIPTION} characters at most."));
        }
        for key in ["up_command", "down_command"] {
            if let Some(entry) = section.get(key).filter(|entry| !entry.value.is_blank()) {
                self.draft.say(super::COMMAND);
                self.draft.cite(self.source, entry);
            }
        }
        self.draft.keep(self.source, section, KEYS);
    }
}

/// Of each element, in all versions; the last two are of a branch that was never released.
const KEYS: &[&str] = &[
    "interface",
    "type",
    "ip",
    "gateway",
    "description",
    "priority_group",
    "default_route",
    "weight",
    "up_command",
    "down_command",
];
/// In characters.
const LONGEST_DESCRIPTION: usize = 100;

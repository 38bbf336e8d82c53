//! Whose something is, by the names and numbers that programs document, and
//! what an administrator does about it.

use super::survey::{Chain, PolicyRule, RuleAction, Table, Verdict};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// A program that we know by its names.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Owner {
    Docker,
    Ufw,
    Firewalld,
    Tailscale,
    Pbr,
    Mwan3,
    WgQuick,
    Kubernetes,
    Libvirt,
    OpenWrt,
}

impl Owner {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Docker => "Docker",
            Self::Ufw => "ufw",
            Self::Firewalld => "firewalld",
            Self::Tailscale => "Tailscale",
            Self::Pbr => "pbr",
            Self::Mwan3 => "mwan3",
            Self::WgQuick => "wg-quick",
            Self::Kubernetes => "Kubernetes (kube-proxy)",
            Self::Libvirt => "libvirt",
            Self::OpenWrt => "OpenWrt (fw4)",
        }
    }
}

/// Beginnings of chain names.
const CHAINS: [(&str, Owner); 13] = [
    ("DOCKER", Owner::Docker),
    ("ufw-", Owner::Ufw),
    ("ufw6-", Owner::Ufw),
    ("ts-", Owner::Tailscale),
    ("mwan3_", Owner::Mwan3),
    ("pbr_", Owner::Pbr),
    ("KUBE-", Owner::Kubernetes),
    ("cali-", Owner::Kubernetes),
    ("CNI-", Owner::Kubernetes),
    ("FLANNEL-", Owner::Kubernetes),
    ("LIBVIRT_", Owner::Libvirt),
    ("PBR_", Owner::Pbr),
    ("MWAN3_", Owner::Mwan3),
];

/// Beginnings of table names.
const TABLES: [(&str, Owner); 7] = [
    ("firewalld", Owner::Firewalld),
    ("wg-quick-", Owner::WgQuick),
    ("fw4", Owner::OpenWrt),
    ("docker-bridges", Owner::Docker),
    ("libvirt_network", Owner::Libvirt),
    ("kube-proxy", Owner::Kubernetes),
    ("mwan3", Owner::Mwan3),
];

fn by_start(list: &[(&str, Owner)], name: &str) -> Option<Owner> {
    list.iter().find(|(start, _)| name.starts_with(start)).map(|(_, owner)| *owner)
}

/// The owner of a rule, or of the policy (`rule` is `None`), of a chain.
pub(super) fn of_place(table: &Table, chain: &str, rule: Option<usize>) -> Option<Owner> {
    let known = by_start(&CHAINS, chain).or_else(|| by_start(&TABLES, &table.name));
    if known.is_some() {
        return known;
    }
    let chain = table.chains.iter().find(|c| c.name == chain)?;
    match rule {
        Some(index) => {
            let rule = chain.rules.get(index)?;
            let commented = rule.text.contains("wg-quick(8)").then_some(Owner::WgQuick);
            commented.or_else(|| jumps(&rule.verdict))
        }
        None => of_policy(chain),
    }
}

/// Who sets the policy of a chain is known by who has put jumps into it. ufw first: what it
/// forwards is its administrator's word, where Docker's is a default.
fn of_policy(chain: &Chain) -> Option<Owner> {
    let all: Vec<Owner> = chain.rules.iter().filter_map(|rule| jumps(&rule.verdict)).collect();
    [Owner::Ufw, Owner::Docker].into_iter().find(|owner| all.contains(owner))
}

fn jumps(verdict: &Verdict) -> Option<Owner> {
    match verdict {
        Verdict::Jump(name) | Verdict::Goto(name) => by_start(&CHAINS, name),
        _ => None,
    }
}

/// The owner of a policy rule.
pub(super) fn of_rule(rule: &PolicyRule) -> Option<Owner> {
    let table = match rule.action {
        RuleAction::Lookup(table) => table,
        RuleAction::Refuse | RuleAction::Other => 0,
    };
    match (rule.priority, rule.mark) {
        (5210..=5270, Some((_, 0x00ff_0000))) => Some(Owner::Tailscale),
        (5200..=5299, _) if table == 52 => Some(Owner::Tailscale),
        (_, Some((value, u32::MAX))) if rule.inverted && value == table => Some(Owner::WgQuick),
        (_, Some((_, 0x3f00))) => Some(Owner::Mwan3),
        (1000..=3999, _) if rule.iif.is_some() && (1..64).contains(&table) => Some(Owner::Mwan3),
        (_, Some((_, 0x00ff_0000))) => Some(Owner::Pbr),
        _ => None,
    }
}

/// Who sets routes and rules with this protocol number.
pub(super) const fn of_protocol(protocol: u8) -> &'static str {
    match protocol {
        2 => "the kernel",
        3 => "ip route",
        4 => "static (systemd-networkd, NetworkManager or ifupdown)",
        9 => "router advertisements",
        11 | 42 | 186..=189 | 192 => "FRR",
        12 => "BIRD",
        16 => "DHCP",
        18 => "keepalived",
        _ => "an unknown program",
    }
}

/// What is closed, for a remedy: the interfaces inside and outside.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Closed {
    pub(super) inside: Vec<String>,
    pub(super) uplinks: Vec<String>,
    /// New connections, and not only replies or port forwards.
    pub(super) new: bool,
    /// Port forwards.
    pub(super) forwards: bool,
}

/// The commands that open what a chain closes.
pub(super) fn open(owner: Option<Owner>, table: &Table, chain: &str, closed: &Closed) -> String {
    match owner {
        Some(Owner::Docker) => docker(closed),
        Some(Owner::Ufw) => ufw(closed),
        Some(Owner::Firewalld) => {
            let first = closed.inside.first().map_or("lan0", String::as_str);
            format!(
                "firewall-cmd --permanent --new-policy inside-out; firewall-cmd --permanent \
                 --policy inside-out --add-ingress-zone $(firewall-cmd \
                 --get-zone-of-interface={first}) --add-egress-zone ANY --set-target ACCEPT; \
                 firewall-cmd --reload"
            )
        }
        _ if table.iptables => iptables(chain, closed),
        _ => nft(table, chain, closed),
    }
}

fn docker(closed: &Closed) -> String {
    let each = closed.inside.iter().map(|inside| {
        format!(
            "iptables -I DOCKER-USER -i {inside} -j ACCEPT; iptables -I DOCKER-USER -o {inside} \
             -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT"
        )
    });
    each.collect::<Vec<_>>().join("; ")
}

fn ufw(closed: &Closed) -> String {
    let mut lines = Vec::new();
    for inside in &closed.inside {
        for uplink in &closed.uplinks {
            if closed.new {
                lines.push(format!("ufw route allow in on {inside} out on {uplink}"));
            }
            if closed.forwards {
                lines.push(format!("ufw route allow in on {uplink} out on {inside}"));
            }
        }
    }
    lines.join("; ")
}

fn iptables(chain: &str, closed: &Closed) -> String {
    let each = closed.inside.iter().map(|inside| {
        format!(
            "iptables -I {chain} -i {inside} -j ACCEPT; iptables -I {chain} -o {inside} \
             -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT"
        )
    });
    each.collect::<Vec<_>>().join("; ")
}

fn nft(table: &Table, chain: &str, closed: &Closed) -> String {
    let insert = format!("nft insert rule {} {} {chain}", table.family, table.name);
    let each = closed.inside.iter().map(|inside| {
        format!(
            "{insert} iifname {inside} accept; {insert} oifname {inside} ct state \
             established,related accept"
        )
    });
    let mut lines: Vec<String> = each.collect();
    if closed.forwards {
        lines.push(format!("{insert} ct status dnat accept"));
    }
    lines.join("; ")
}

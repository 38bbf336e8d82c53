//! A router without a daemon: one table per uplink, nftables that chooses by weight, marks
//! that pin, and masquerade. The laboratory's own figures are proved on it.

use rail_lab::{LabError, Topology};
use std::fmt::Write as _;

/// Makes the router share by these weights; nothing watches the uplinks.
///
/// # Errors
/// When a tool refuses a step.
pub(crate) fn set_up(topology: &Topology, weights: &[u32]) -> Result<(), LabError> {
    let router = &topology.router;
    router.set("net/ipv4/ip_forward", "1")?;
    // Connected networks first, or marked replies would leave by a default route.
    let mut ip = String::from("rule add lookup main suppress_prefixlength 0 priority 10\n");
    let mut slots = Vec::new();
    let mut marks = String::new();
    for (line, weight) in topology.lines.iter().zip(weights) {
        let (n, wan, gateway) = (line.number, line.interface(), line.gateway());
        let _ = write!(
            ip,
            "route add default via {gateway} dev {wan} table {t}\n\
             rule add fwmark {n} lookup {t} priority {t}\n\
             rule add from {a} lookup {t} priority {p}\n\
             rule add oif {wan} lookup {t} priority {o}\n",
            t = 100 + n,
            p = 300 + n,
            o = 500 + n,
            a = line.address()
        );
        for _ in 0..*weight {
            slots.push(format!("{} : {n}", slots.len()));
        }
        let _ = writeln!(marks, "oifname {wan} ct mark set {n}");
    }
    router.ip_batch(&ip)?;
    router.sh(&format!("ip route add default via {}", topology.line(1).gateway()))?;
    let (count, slots) = (slots.len(), slots.join(", "));
    router.nft(&format!(
        "table ip plain {{\n chain pre {{ type filter hook prerouting priority mangle\n\
         ct mark != 0 meta mark set ct mark\n\
         iifname lan0 ct state new meta mark set numgen inc mod {count} map {{ {slots} }}\n }}\n\
         chain post {{ type nat hook postrouting priority srcnat\n{marks}\
         oifname \"wan*\" masquerade\n }}\n}}\n"
    ))
}

//! Who else configures an interface: NetworkManager, systemd-networkd, dhcpcd,
//! ifupdown; and what makes each of them leave it alone.
//!
//! Promises: reads what these programs publish below `/run` and `/etc`, starts
//! nothing, needs no rights; what cannot be read is taken as not there.

use std::fs;
use std::path::Path;

/// A program that configures interfaces.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Program {
    /// NetworkManager.
    NetworkManager,
    /// systemd-networkd.
    Networkd,
    /// dhcpcd in manager mode, or started for the interface.
    Dhcpcd,
    /// ifupdown.
    Ifupdown,
}

/// A program, and the interfaces of ours that it holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// The program.
    pub program: Program,
    /// The interfaces.
    pub interfaces: Vec<String>,
}

/// Whether a program holds an interface.
type Test = fn(&Path, &str) -> bool;

/// Finds who holds the interfaces; `root` is `/` but in tests.
pub fn holders(root: &Path, interfaces: &[String]) -> Vec<Holder> {
    let all: [(Program, Test); 4] = [
        (Program::NetworkManager, network_manager_holds),
        (Program::Networkd, networkd_holds),
        (Program::Dhcpcd, dhcpcd_holds),
        (Program::Ifupdown, ifupdown_holds),
    ];
    let held = |(program, holds): (Program, Test)| {
        let interfaces: Vec<String> =
            interfaces.iter().filter(|name| holds(root, name)).cloned().collect();
        (!interfaces.is_empty()).then_some(Holder { program, interfaces })
    };
    all.into_iter().filter_map(held).collect()
}

/// True if systemd-networkd runs and will remove routing rules that are not its own when it
/// starts again (`ManageForeignRoutingPolicyRules=`, default yes).
pub fn networkd_removes_rules(root: &Path) -> bool {
    if !root.join("run/systemd/netif/state").exists() {
        return false;
    }
    let setting = |text: String| {
        let line = text.lines().rev().find_map(|line| {
            line.trim().strip_prefix("ManageForeignRoutingPolicyRules").map(str::to_owned)
        });
        line.map(|rest| rest.trim_start_matches([' ', '=']).trim().to_ascii_lowercase())
    };
    let mut files = vec![root.join("etc/systemd/networkd.conf")];
    for directory in ["usr/lib/systemd/networkd.conf.d", "etc/systemd/networkd.conf.d"] {
        files.extend(entries(&root.join(directory)));
    }
    let last = files.into_iter().filter_map(|path| setting(read(&path)?)).next_back();
    !last.is_some_and(|word| ["no", "false", "off", "0"].contains(&word.as_str()))
}

/// How to make a program leave something alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// The file.
    pub file: String,
    /// What to write there.
    pub text: String,
    /// The command that makes it count.
    pub command: String,
}

impl Holder {
    /// What it is called.
    pub const fn name(&self) -> &'static str {
        match self.program {
            Program::NetworkManager => "NetworkManager",
            Program::Networkd => "systemd-networkd",
            Program::Dhcpcd => "dhcpcd",
            Program::Ifupdown => "ifupdown",
        }
    }

    /// How to make it let go.
    pub fn release(&self) -> Release {
        let names = &self.interfaces;
        let (file, text, command) = match self.program {
            Program::NetworkManager => (
                "/etc/NetworkManager/conf.d/90-rail.conf",
                format!(
                    "[keyfile]\nunmanaged-devices={}\n",
                    join(names, |n| format!("interface-name:{n}"), ";")
                ),
                "systemctl reload NetworkManager",
            ),
            Program::Networkd => (
                "/etc/systemd/network/05-rail.network",
                format!(
                    "[Match]\nName={}\n\n[Link]\nUnmanaged=yes\n",
                    join(names, Clone::clone, " ")
                ),
                "networkctl reload",
            ),
            Program::Dhcpcd => (
                "/etc/dhcpcd.conf",
                format!("denyinterfaces {}\n", join(names, Clone::clone, " ")),
                "systemctl restart dhcpcd",
            ),
            Program::Ifupdown => (
                "/etc/network/interfaces",
                join(names, |n| format!("iface {n} inet manual\n"), ""),
                "nothing: the lines that were there configured the interface once, at boot",
            ),
        };
        Release { file: file.into(), text, command: command.into() }
    }
}

fn join(names: &[String], each: impl Fn(&String) -> String, with: &str) -> String {
    names.iter().map(each).collect::<Vec<_>>().join(with)
}

fn read(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok()
}

/// Files of a directory in the order of their names.
fn entries(directory: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten();
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

fn ifindex(root: &Path, interface: &str) -> Option<String> {
    let text = read(&root.join("sys/class/net").join(interface).join("ifindex"))?;
    Some(text.trim().to_owned())
}

/// `/run/NetworkManager/devices/IFINDEX` says `managed=true`.
fn network_manager_holds(root: &Path, interface: &str) -> bool {
    let Some(index) = ifindex(root, interface) else { return false };
    let state = read(&root.join("run/NetworkManager/devices").join(index));
    state.is_some_and(|text| text.lines().any(|line| line.trim() == "managed=true"))
}

/// `/run/systemd/netif/links/IFINDEX` has another `ADMIN_STATE` than unmanaged.
fn networkd_holds(root: &Path, interface: &str) -> bool {
    let Some(index) = ifindex(root, interface) else { return false };
    let state = read(&root.join("run/systemd/netif/links").join(index)).unwrap_or_default();
    let state = state.lines().find_map(|line| line.strip_prefix("ADMIN_STATE="));
    state.is_some_and(|state| !matches!(state.trim(), "unmanaged" | "pending" | "initialized"))
}

/// A process for the interface, or one for all that is not told to leave it out.
fn dhcpcd_holds(root: &Path, interface: &str) -> bool {
    let there = |file: String| root.join("run").join(file).exists();
    let own = [
        format!("dhcpcd/{interface}.pid"),
        format!("dhcpcd/{interface}-4.pid"),
        format!("dhcpcd-{interface}.pid"),
    ];
    if own.into_iter().any(there) {
        return true;
    }
    let config = read(&root.join("etc/dhcpcd.conf")).unwrap_or_default();
    let lists = |word: &str| -> Vec<&str> {
        let lines = config.lines().filter_map(|line| line.trim().strip_prefix(word));
        lines.flat_map(str::split_whitespace).collect()
    };
    let (denied, allowed) = (lists("denyinterfaces "), lists("allowinterfaces "));
    let fits = |list: &[&str]| list.iter().any(|pattern| is_match(pattern, interface));
    ifindex(root, interface).is_some()
        && ["dhcpcd/pid", "dhcpcd.pid"].into_iter().any(|file| there(file.into()))
        && !fits(&denied)
        && (allowed.is_empty() || fits(&allowed))
}

/// `iface NAME inet METHOD` with a method that does something.
fn ifupdown_holds(root: &Path, interface: &str) -> bool {
    let mut files = vec![root.join("etc/network/interfaces")];
    files.extend(entries(&root.join("etc/network/interfaces.d")));
    files.iter().filter_map(|path| read(path)).any(|text| {
        text.lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            matches!(words[..], ["iface", name, "inet" | "inet6", method, ..]
                if name == interface && !matches!(method, "manual" | "loopback"))
        })
    })
}

/// Shell patterns with `*` at the end, which is what people write for interfaces.
fn is_match(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests;

//! `rail generate firewall` and `rail check` beside a state file. Needs root.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Two uplinks; here the first is named by its address.
const CONFIG: &str = include_str!("bench/rail.toml");
const FIRST: &str = "mac:02:00:00:00:00:01";

/// A place with the program, a configuration, and the state of a router that used this device for
/// the first uplink.
fn place(name: &str, boot_id: &str, device: (&str, u32)) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("rail-generate-{}-{name}", std::process::id()));
    fs::create_dir_all(dir.join("state")).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_rail"), dir.join("rail")).unwrap();
    let config = CONFIG.replace("wan1", FIRST) + "[firewall]\nmode = \"external\"\n";
    fs::write(dir.join("rail.toml"), config).unwrap();
    let (ifname, index) = device;
    let devices = serde_json::json!({ FIRST: { "ifname": ifname, "index": index } });
    let state = serde_json::json!({ "boot_id": boot_id.trim(), "devices": devices });
    fs::write(dir.join("state/state.json"), state.to_string()).unwrap();
    fs::set_permissions(dir.join("state"), fs::Permissions::from_mode(0o700)).unwrap();
    dir
}

/// What a command prints, in a network namespace of its own with these links.
fn run(dir: &Path, links: &str, user: &str, verb: &str) -> Output {
    let script = format!(
        "{links}\nexec setpriv --reuid {user} --clear-groups {dir}/rail {verb} \
         --config {dir}/rail.toml --state-dir {dir}/state",
        dir = dir.display()
    );
    Command::new("unshare").args(["--net", "sh", "-ec", &script]).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

const TWINS: &str = "ip link add eth1 index 107 address 02:00:00:00:00:01 type veth
ip link add eth2 index 108 address 02:00:00:00:00:01 type veth";

/// Given two interfaces with the address, when the daemon of this boot uses the first, then the rules
/// and `check` have that one, and name the other; whoever may not read the state learns that.
#[test]
fn the_interface_is_the_one_that_the_daemon_uses() {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let dir = place("now", &boot_id, ("eth1", 107));
    let rules = run(&dir, TWINS, "0", "generate firewall");
    assert!(rules.status.success(), "{}", text(&rules.stderr));
    assert!(text(&rules.stdout).contains("\"eth1\" : goto from_isp1"), "{}", text(&rules.stdout));
    let check = run(&dir, TWINS, "0", "check");
    let reported = text(&check.stderr);
    assert!(!reported.contains("is several interfaces"), "{reported}");
    assert!(reported.contains("note: uplink isp1 filters eth2, too"), "{reported}");
    let denied = run(&dir, TWINS, "65534", "generate firewall");
    let reported = text(&denied.stderr);
    assert_eq!(denied.status.code(), Some(1));
    assert!(
        reported.contains("state.json: Permission denied") && !reported.contains("began"),
        "{reported}"
    );
    fs::remove_dir_all(dir).unwrap();
}

/// Given the state of another boot, when the interface is absent and another one has its index, or two
/// interfaces match, then none is the uplink's, and no rules are printed.
#[test]
fn an_index_of_another_boot_means_nothing() {
    let dir = place("then", "00000000-0000-0000-0000-000000000000", ("eth1", 107));
    for links in ["ip link add eth5 index 107 type veth", TWINS] {
        let rules = run(&dir, links, "0", "generate firewall");
        assert_eq!(rules.status.code(), Some(1), "{}", text(&rules.stdout));
        assert!(text(&rules.stderr).contains("02:00:00:00:00:01"), "{}", text(&rules.stderr));
        assert_eq!(text(&rules.stdout), "");
    }
    fs::remove_dir_all(dir).unwrap();
}

/// Given an interface whose name iptables takes for many, when rules are printed, then those for iptables
/// are refused, and those for nft are not.
#[test]
fn a_wildcard_of_iptables_is_no_name() {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let dir = place("wildcard", &boot_id, ("wan+", 107));
    let links = "ip link add wan+ index 107 address 02:00:00:00:00:01 type veth";
    for format in ["iptables", "ip6tables"] {
        let rules = run(&dir, links, "0", &format!("generate firewall --format {format}"));
        assert_eq!(rules.status.code(), Some(1), "{}", text(&rules.stdout));
        assert!(text(&rules.stderr).contains("iptables takes wan+ for"), "{}", text(&rules.stderr));
    }
    let rules = run(&dir, links, "0", "generate firewall");
    assert!(text(&rules.stdout).contains("\"wan+\" : goto from_isp1"), "{}", text(&rules.stderr));
    fs::remove_dir_all(dir).unwrap();
}
